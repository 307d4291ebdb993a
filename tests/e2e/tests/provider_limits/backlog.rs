//! The jobs that wait for one provider take at most half of the backlog, those behind waiting jobs of their sessions included.
//! Beyond that, only submits for this provider are refused.

use e2e::{
    client::{Answer, Client, id_of},
    fleet::TIMEOUT,
};
use scripted_provider::ScriptedLlm;
use serde_json::json;

use crate::{
    api_view::{wait_for_behind_session, wait_until_jobs_wait},
    installation::{Engine, Installation},
    jobs, test_lock,
};

const BACKLOG_MAX: usize = 200;
/// A model of the provider that is not away.
const OTHER_MODEL: &str = "gemini-test";

for_both_engines!(
    the_jobs_of_a_closed_provider_leave_half_of_the_backlog_to_others,
    jobs_behind_waiting_jobs_of_their_sessions_count_towards_the_half,
);

/// An installation in which `openai` is away, and the provider of [`OTHER_MODEL`] answers.
async fn start(engine: Engine, openai: &ScriptedLlm, other: &ScriptedLlm) -> Installation {
    let (backlog_max, other_url) = (BACKLOG_MAX.to_string(), other.gemini_base_url());
    let env = [
        ("FOREBAY_BACKLOG_MAX", backlog_max.as_str()),
        ("GEMINI_BASE_URL", other_url.as_str()),
        ("GEMINI_API_KEY", "test-key-gemini"),
    ];
    let installation = Installation::start(engine, openai, &env).await;
    openai.go_offline().await;
    installation
}

async fn the_jobs_of_a_closed_provider_leave_half_of_the_backlog_to_others(engine: Engine) {
    let _guard = test_lock::shared().await;
    let (openai, other) = (ScriptedLlm::start().await, ScriptedLlm::start().await);
    let installation = start(engine, &openai, &other).await;
    let client = &installation.client;
    let mut ids = jobs::submit(client, "job", BACKLOG_MAX / 2, &json!({})).await;
    wait_until_jobs_wait(client, &ids, TIMEOUT).await;

    let mut refusal: Option<Answer> = None;
    // A gateway reads the counts once a second, so it may accept some more submits.
    while refusal.is_none() && ids.len() < BACKLOG_MAX {
        let answer = client.submit(&json!({ "input": "one more" })).await;
        if answer.status == 202 {
            ids.push(id_of(&answer.body).to_owned());
            wait_until_jobs_wait(client, &ids, TIMEOUT).await;
        } else {
            refusal = Some(answer);
        }
    }
    let refusal = refusal.unwrap_or_else(|| panic!("{} jobs were accepted", ids.len()));
    assert_refusal(&refusal);
    assert_other_completes(client).await;
}

async fn jobs_behind_waiting_jobs_of_their_sessions_count_towards_the_half(engine: Engine) {
    const SESSIONS: usize = 10;
    let _guard = test_lock::shared().await;
    let (openai, other) = (ScriptedLlm::start().await, ScriptedLlm::start().await);
    let installation = start(engine, &openai, &other).await;
    let client = &installation.client;
    // Each head waits before other jobs follow, so that the waiting jobs are known before half of the backlog is reached.
    let mut ids = Vec::new();
    for session in 0..SESSIONS {
        let extra = json!({ "session_id": format!("chat-{session}") });
        ids.extend(jobs::submit(client, &format!("head {session}"), 1, &extra).await);
    }
    wait_until_jobs_wait(client, &ids, TIMEOUT).await;

    let job = |behind: usize| {
        let session = format!("chat-{}", behind % SESSIONS);
        json!({ "input": "one more", "session_id": session })
    };
    // A job that is committed while a gateway sums the counts may count twice until the next sum. So a submit may be refused too early,
    // and is repeated.
    let mut behind = 0;
    while SESSIONS + behind < BACKLOG_MAX / 2 {
        client.submit_until_ok(&job(behind), TIMEOUT).await;
        behind += 1;
    }
    let mut refusal: Option<Answer> = None;
    while refusal.is_none() && SESSIONS + behind < BACKLOG_MAX {
        // A gateway reads the counts once a second. The test waits for the new counts, because with old ones the gateway would admit jobs
        // beyond the half.
        wait_for_behind_session(client, behind, TIMEOUT).await;
        let answer = client.submit(&job(behind)).await;
        if answer.status == 202 {
            behind += 1;
        } else {
            refusal = Some(answer);
        }
    }
    let accepted = SESSIONS + behind;
    let refusal = refusal.unwrap_or_else(|| panic!("{accepted} jobs were accepted"));
    assert_refusal(&refusal);
    // A few more are accepted if the counts are read while the head of a session is the probe, and so does not wait.
    let half = BACKLOG_MAX / 2;
    assert!(
        (half..half + SESSIONS).contains(&accepted),
        "{accepted} jobs were accepted"
    );
    assert_other_completes(client).await;

    openai.go_online().await;
    jobs::assert_all_completed(&jobs::wait_for_all(client, &ids, TIMEOUT).await);
}

fn assert_refusal(refusal: &Answer) {
    assert_eq!(refusal.status, 503, "{}", refusal.body);
    let retry_after_s = refusal.header("retry-after");
    let retry_after_s = retry_after_s.and_then(|seconds| seconds.parse::<u64>().ok());
    assert!(retry_after_s >= Some(1), "{:?}", refusal.headers);
}

/// Asserts that a job of the provider that answers is accepted and completes.
async fn assert_other_completes(client: &Client) {
    let job = json!({ "input": "other", "model": OTHER_MODEL });
    let job = client.submit_until_ok(&job, TIMEOUT).await;
    let job = client.wait(id_of(&job), TIMEOUT).await;
    assert_eq!(job["status"], "completed", "{job}");
}
