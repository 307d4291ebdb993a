//! One gateway retries and deletes a job that another gateway accepted.

use e2e::{
    client::id_of,
    fleet::{Fleet, TIMEOUT},
};
use scripted_provider::{ProviderError, ScriptedLlm};
use serde_json::json;

use crate::test_lock;

#[tokio::test]
async fn a_job_is_retried_and_deleted_at_another_gateway() {
    let _guard = test_lock::shared().await;
    let llm = ScriptedLlm::start().await;
    llm.queue_replies("turn=0", [ProviderError::unauthorized().into()]);
    let fleet = Fleet::builder().workers(1).openai(&llm).start().await;
    let (first, second) = (fleet.client_of(0), fleet.client_of(1));
    let job = json!({ "session_id": "s", "input": "turn=0" });
    let submitted = first.submit_with_key(&job, "k").await.expect(202);
    let id = id_of(&submitted);
    assert_eq!(first.wait(id, TIMEOUT).await["status"], "failed");

    second.retry(id).await.expect(202);
    let completed = first.wait(id, TIMEOUT).await;
    assert_eq!(completed["status"], "completed", "{completed}");
    let repeat = second.submit_with_key(&job, "k").await.expect(202);
    assert_eq!(id_of(&repeat), id);

    assert_eq!(second.delete_job(id).await.status, 204);
    assert_eq!(first.job(id).await.status, 404);
    assert_eq!(first.retry(id).await.status, 404);
    for client in [&first, &second] {
        let problem = client.submit_with_key(&job, "k").await.expect(410);
        assert_eq!(problem["code"], "job_deleted", "{problem}");
    }
    let session = first.session("s").await.expect(200);
    assert_eq!(session["turn_count"], 2, "{session}");
    assert_eq!(llm.stats().requests, 2);
}
