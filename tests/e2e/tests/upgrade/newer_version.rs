//! A process of an older release does not act on documents of a newer version, and it loses none of them. Only a
//! process of the newer release acts on them.

use e2e::{
    client::id_of,
    fleet::{Fleet, LIMIT, UNREADABLE},
};
use scripted_provider::ScriptedLlm;
use serde_json::json;

use crate::{scenario, stored::Stored};

/// The text that a worker of an older release logs about such a job.
const LEFT_ALONE: &str = "only a worker of a newer release can run the job";

#[tokio::test]
async fn a_job_of_a_newer_version_waits_for_a_newer_process() {
    for kind in ["lane", "request"] {
        let llm = ScriptedLlm::start().await;
        let fleet = Fleet::builder().openai(&llm).gateways(1).workers(0);
        let mut fleet = fleet.env("FOREBAY_LOG", "debug").start().await;
        let job = json!({"session_id": "s", "input": "turn=0"});
        let job = fleet.client.submit_ok(&job).await;
        let stored = Stored::Redis(&fleet.redis);
        stored.set_version(kind, 2).await;
        if kind == "lane" {
            let answer = fleet.client.job(id_of(&job)).await;
            assert_eq!(answer.header("retry-after"), Some("2"), "{answer:?}");
            answer.expect(503);
        }
        fleet
            .add_worker()
            .await
            .wait_for_log(LEFT_ALONE, LIMIT)
            .await;
        // A process of the newer release would act on the document. Instead, the test sets the document's version back.
        Stored::Redis(&fleet.redis).set_version(kind, 1).await;
        let job = scenario::wait_for_end(&fleet.client, id_of(&job)).await;
        assert_eq!(job["status"], "completed", "{job}");
        assert_eq!(job["attempts"].as_array().map(Vec::len), Some(1), "{job}");
        let is_unreadable = fleet.has_ready_message(UNREADABLE).await;
        assert!(!is_unreadable, "a worker moved the message to {UNREADABLE}");
    }
}
