//! Documents of a newer version are left to processes of the newer release, and nothing of them is lost.

use e2e::{
    client::id_of,
    fleet::{Fleet, LIMIT, UNREADABLE},
};
use scripted_provider::ScriptedLlm;
use serde_json::json;

use crate::{scenario, stored::Stored};

/// What a worker of an older release logs about such a job.
const LEFT: &str = "only a worker of a newer release can run the job";

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
        fleet.add_worker().await.wait_for_log(LEFT, LIMIT).await;
        // A process of the newer release would act on the document; here it becomes one of this release again.
        Stored::Redis(&fleet.redis).set_version(kind, 1).await;
        let job = scenario::ends(&fleet.client, id_of(&job)).await;
        assert_eq!(job["status"], "completed", "{job}");
        assert_eq!(job["attempts"].as_array().map(Vec::len), Some(1), "{job}");
        assert!(!fleet.has_ready(UNREADABLE).await);
    }
}
