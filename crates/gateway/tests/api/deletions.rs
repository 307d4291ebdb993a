//! Tests of `DELETE /v1/jobs/{id}`.

use crate::fixture::{Fixture, id_of, job_in_session, lane_of};

#[tokio::test]
async fn an_ended_job_is_deleted_once_and_its_session_keeps_its_turns() {
    let gateway = Fixture::start().await;
    let id = gateway.submit_accepted(&job_in_session("s")).await;
    let path = format!("/v1/jobs/{id}");
    let problem = gateway.delete(&path).await;
    problem.expect_problem(409, "job_live");
    gateway.complete(&lane_of("s"), id, "Hello.").await;
    assert_eq!(gateway.get(&path).await.expect(200)["status"], "completed");

    assert_eq!(gateway.delete(&path).await.status, 204);
    gateway
        .get(&path)
        .await
        .expect_problem(404, "job_not_found");
    gateway
        .delete(&path)
        .await
        .expect_problem(404, "job_not_found");
    gateway
        .post(&format!("{path}/cancel"))
        .await
        .expect_problem(404, "job_not_found");
    let session = gateway.get("/v1/sessions/s").await.expect(200);
    assert_eq!(session["turns"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn a_job_with_a_large_reply_is_deleted_without_memory() {
    let gateway = Fixture::start().await;
    let id = gateway.submit_accepted(&job_in_session("s")).await;
    let text = "x".repeat(200_000);
    gateway.complete(&lane_of("s"), id, &text).await;
    let reads = &gateway.member.memory.reads;
    let _others = reads.try_reserve(u64::MAX).expect("the memory is free");
    let response = gateway.delete(&format!("/v1/jobs/{id}")).await;
    assert_eq!(response.status, 204);
}

#[tokio::test]
async fn an_unknown_job_cannot_be_deleted() {
    let gateway = Fixture::start().await;
    for id in [format!("job_{}", "0".repeat(34)), String::from("x")] {
        let response = gateway.delete(&format!("/v1/jobs/{id}")).await;
        response.expect_problem(404, "job_not_found");
    }
}

#[tokio::test]
async fn the_key_of_a_deleted_job_makes_no_job() {
    let gateway = Fixture::with_settings(|settings| settings.backlog_max = 1).await;
    let body = job_in_session("s");
    let first = gateway.submit_with_key(&body, "k").await.expect(202);
    let id = id_of(&first);
    gateway
        .post(&format!("/v1/jobs/{id}/cancel"))
        .await
        .expect(200);
    let response = gateway.delete(&format!("/v1/jobs/{id}")).await;
    assert_eq!(response.status, 204);

    let again = gateway.submit_with_key(&body, "k").await;
    again.expect_problem(410, "job_deleted");
    let other = gateway.submit_with_key(&job_in_session("t"), "k").await;
    other.expect_problem(422, "idempotency_key_reused");
    assert_eq!(gateway.live_jobs().await, 0);
    // New jobs are refused now. A repeat still shows that the job of its key was deleted.
    gateway.fill_backlog(1).await;
    let again = gateway.submit_with_key(&body, "k").await;
    again.expect_problem(410, "job_deleted");
    assert_eq!(gateway.live_jobs().await, 1);
}
