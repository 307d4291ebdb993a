//! The jobs that wait for one provider take at most half of the backlog. Beyond that, only submits for this provider are
//! refused.

use e2e::{
    client::{Answer, id_of},
    fleet::TIMEOUT,
};
use scripted_provider::ScriptedLlm;
use serde_json::json;

use crate::{
    api_view::wait_for_waiting,
    installation::{Engine, Installation},
    jobs, test_lock,
};

const BACKLOG_MAX: usize = 200;
/// A model of the provider that is not away.
const OTHER_MODEL: &str = "gemini-test";

for_both_engines!(the_jobs_of_a_closed_provider_leave_half_of_the_backlog_to_others);

async fn the_jobs_of_a_closed_provider_leave_half_of_the_backlog_to_others(engine: Engine) {
    let _guard = test_lock::shared().await;
    let (openai, other) = (ScriptedLlm::start().await, ScriptedLlm::start().await);
    let (backlog_max, other_url) = (BACKLOG_MAX.to_string(), other.gemini_base_url());
    let env = [
        ("FOREBAY_BACKLOG_MAX", backlog_max.as_str()),
        ("GEMINI_BASE_URL", other_url.as_str()),
        ("GEMINI_API_KEY", "test-key-gemini"),
    ];
    let installation = Installation::start(engine, &openai, &env).await;
    let client = &installation.client;
    openai.go_offline().await;
    let mut ids = jobs::submit(client, "job", BACKLOG_MAX / 2, &json!({})).await;
    wait_for_waiting(client, &ids, TIMEOUT).await;

    let mut refusal: Option<Answer> = None;
    // A gateway reads the counts once a second, so it may accept some more submits.
    while refusal.is_none() && ids.len() < BACKLOG_MAX {
        let answer = client.submit(&json!({ "input": "one more" })).await;
        if answer.status == 202 {
            ids.push(id_of(&answer.body).to_owned());
            wait_for_waiting(client, &ids, TIMEOUT).await;
        } else {
            refusal = Some(answer);
        }
    }
    let refusal = refusal.unwrap_or_else(|| panic!("{} jobs were accepted", ids.len()));
    assert_eq!(refusal.status, 503, "{}", refusal.body);
    let retry_after_s = refusal.header("retry-after");
    let retry_after_s = retry_after_s.and_then(|seconds| seconds.parse::<u64>().ok());
    assert!(retry_after_s >= Some(1), "{:?}", refusal.headers);

    let job = json!({ "input": "other", "model": OTHER_MODEL });
    let job = client.submit_ok(&job).await;
    let job = client.wait(id_of(&job), TIMEOUT).await;
    assert_eq!(job["status"], "completed", "{job}");
}
