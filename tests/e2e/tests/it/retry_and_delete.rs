//! An ended job is retried under its id, or deleted for good. Both also work after a kill of the process.

use scripted_provider::ProviderError;
use serde_json::json;

use crate::fixture::Fixture;

#[tokio::test]
async fn a_failed_job_is_retried_and_its_session_continues() {
    let mut fixture = Fixture::start().await;
    let error = ProviderError::unauthorized();
    fixture.llm.queue_replies("turn=1", [error.into()]);
    let first = fixture.submit_message("s", "turn=0").await;
    assert_eq!(fixture.completed_text(&first).await, "seen:0");
    let second = fixture.submit_message("s", "turn=1").await;
    let failed = fixture.wait(&second).await;
    assert_eq!(failed["status"], "failed", "{failed}");
    let third = fixture.submit_message("s", "turn=2").await;
    assert_eq!(fixture.completed_text(&third).await, "seen:0,2");

    fixture.forebay.kill9().await;
    fixture.restart().await;
    let retried = fixture.client.retry(&second).await.expect(202);
    assert_eq!(retried["status"], "queued", "{retried}");
    assert_eq!(fixture.completed_text(&second).await, "seen:0,2,1");
    let completed = fixture.job(&second).await;
    assert_eq!(completed["attempts"].as_array().map(Vec::len), Some(1));
    assert_eq!(completed["created_at"], failed["created_at"]);
    assert_eq!(
        fixture.session_turns("s").await,
        [
            "user: turn=0",
            "assistant: seen:0",
            "user: turn=2",
            "assistant: seen:0,2",
            "user: turn=1",
            "assistant: seen:0,2,1",
        ]
    );
    fixture.assert_no_refusals();
}

#[tokio::test]
async fn a_deleted_job_stays_deleted_and_its_key_makes_no_other_job() {
    let mut fixture = Fixture::start().await;
    let job = json!({ "session_id": "s", "input": "turn=0" });
    let accepted = fixture.client.submit_with_key(&job, "k").await.expect(202);
    let id = accepted["id"]
        .as_str()
        .expect("the job has an id")
        .to_owned();
    assert_eq!(fixture.completed_text(&id).await, "seen:0");
    assert_eq!(fixture.client.delete_job(&id).await.status, 204);

    fixture.forebay.kill9().await;
    fixture.restart().await;
    let client = &fixture.client;
    assert_eq!(client.job(&id).await.status, 404);
    assert_eq!(client.retry(&id).await.status, 404);
    assert_eq!(client.delete_job(&id).await.status, 404);
    let again = client.submit_with_key(&job, "k").await;
    let problem = again.expect(410);
    assert_eq!(problem["code"], "job_deleted", "{problem}");
    assert_eq!(
        fixture.session_turns("s").await,
        ["user: turn=0", "assistant: seen:0"]
    );
    assert_eq!(fixture.llm.stats().requests, 1);
}
