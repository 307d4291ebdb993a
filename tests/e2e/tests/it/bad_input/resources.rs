//! Requests for jobs and sessions that do not exist, or whose state does not allow the request.

use reqwest::Method;
use serde_json::json;

use super::{assert_nothing_stored_or_called, expect_problem, send};
use crate::fixture::Fixture;

#[tokio::test]
async fn unknown_and_malformed_ids_are_answered_with_404() {
    let fixture = Fixture::start().await;
    let long = "x".repeat(5_000);
    // `%2e%2e` is not in this list, because the HTTP client would resolve it as `..` and request another path.
    let ids = [
        "job_00018bcfe5680070008000000000000000",
        "JOB_00018bcfe5680070008000000000000000",
        "job_",
        "x",
        "%00",
        "a%00b",
        "a%2Fb",
        "..%2F..%2Fetc%2Fpasswd",
        "%ff%fe",
        "%C3%BC",
        "%F0%9F%A6%80",
        "%25",
        "a%20b",
        "'%20OR%201=1--",
        "%0d%0aset-cookie:x",
        long.as_str(),
    ];
    for id in ids {
        for (method, path, code) in [
            (Method::GET, format!("/v1/jobs/{id}"), "job_not_found"),
            (
                Method::GET,
                format!("/v1/jobs/{id}?wait_s=5"),
                "job_not_found",
            ),
            (
                Method::POST,
                format!("/v1/jobs/{id}/cancel"),
                "job_not_found",
            ),
            (
                Method::POST,
                format!("/v1/jobs/{id}/retry"),
                "job_not_found",
            ),
            (Method::DELETE, format!("/v1/jobs/{id}"), "job_not_found"),
            (
                Method::GET,
                format!("/v1/sessions/{id}"),
                "session_not_found",
            ),
            (
                Method::DELETE,
                format!("/v1/sessions/{id}"),
                "session_not_found",
            ),
        ] {
            let answer = send(&fixture.client, method, &path, "").await;
            expect_problem(&path, answer, 404, code);
        }
    }
    for path in [
        "/v1",
        "/v1/jobs/",
        "/v1/jobs/a/b",
        "/v2/jobs",
        "/v1/sessions/",
    ] {
        let answer = send(&fixture.client, Method::GET, path, "").await;
        assert_eq!(answer.status, 404, "{path}");
    }
    for (method, path) in [
        (Method::DELETE, "/v1/jobs"),
        (Method::PUT, "/v1/jobs/x"),
        (Method::POST, "/v1/sessions/x"),
        (Method::POST, "/v1/queues"),
    ] {
        let answer = send(&fixture.client, method, path, "").await;
        expect_problem(path, answer, 405, "method_not_allowed");
    }
    assert_nothing_stored_or_called(&fixture).await;
}

#[tokio::test]
async fn the_cancel_of_an_ended_job_is_refused() {
    let fixture = Fixture::start().await;
    fixture.llm.queue_replies(
        "fails",
        [scripted_provider::ProviderError::unauthorized().into()],
    );
    for text in ["completes", "fails"] {
        let id = fixture.submit_message("s", text).await;
        let before = fixture.wait(&id).await;
        let answer = fixture.client.cancel(&id).await;
        expect_problem(text, answer, 409, "job_finished");
        assert_eq!(fixture.client.job(&id).await.expect(200), before);
    }
    let gate = fixture.llm.gate_all_requests();
    let id = fixture.submit_message("s", "is cancelled").await;
    fixture.client.cancel(&id).await.expect(200);
    let answer = fixture.client.cancel(&id).await;
    expect_problem("a second cancel", answer, 409, "job_finished");
    gate.open();
}

#[tokio::test]
async fn a_session_with_live_jobs_cannot_be_deleted() {
    let fixture = Fixture::start().await;
    let gate = fixture.llm.gate_all_requests();
    let id = fixture.submit_message("s", "turn=0").await;
    let answer = fixture.client.delete_session("s").await;
    expect_problem("the delete of a busy session", answer, 409, "session_busy");
    gate.open();
    fixture.completed_text(&id).await;
    fixture.client.delete_session("s").await.expect(204);
    let answer = fixture.client.session("s").await;
    expect_problem("the deleted session", answer, 404, "session_not_found");
}

#[tokio::test]
async fn a_full_session_answers_429_and_accepts_jobs_after_a_cancel() {
    /// The most live jobs of a session.
    const LANE_MAX: usize = 200;
    let fixture = Fixture::start().await;
    let gate = fixture.llm.gate_all_requests();
    let mut ids = Vec::new();
    for turn in 0..LANE_MAX {
        ids.push(fixture.submit_message("s", &format!("turn={turn}")).await);
    }
    let one_more = json!({ "session_id": "s", "input": "one more" });
    let answer = fixture.client.submit_with_key(&one_more, "more").await;
    let retry_after_s = answer.header("retry-after").map(str::to_owned);
    let retry_after_s = retry_after_s.and_then(|text| text.parse::<u64>().ok());
    assert!(
        retry_after_s.is_some_and(|seconds| seconds > 0),
        "Retry-After is missing or 0: {answer:?}"
    );
    expect_problem("a submit to a full session", answer, 429, "session_full");
    let session = fixture.client.session("s").await.expect(200);
    assert_eq!(session["live_jobs"], LANE_MAX, "{session}");
    // Other sessions accept jobs.
    let other = fixture.submit_message("other", "turn=0").await;
    fixture.client.cancel(&ids[LANE_MAX - 1]).await.expect(200);
    // The refused submit is repeated with the same key and accepted.
    let accepted = fixture
        .client
        .submit_with_key(&one_more, "more")
        .await
        .expect(202);
    gate.open();
    assert_eq!(fixture.completed_text(&other).await, "seen:0");
    fixture
        .completed_text(accepted["id"].as_str().expect("the job has an id"))
        .await;
}
