//! Tests of submits, jobs, queues, the rules of a session, and unknown routes.

use forebay_shared::{ids::JobId, store::JobState};
use reqwest::Method;
use serde_json::{Value, json};

use crate::fixture::{
    ApiResponse, Fixture, id_of, job_in_session, lane_of, lane_without_session, repeat_until,
};

#[tokio::test]
async fn a_submit_is_stored_and_the_response_is_the_job() {
    let gateway = Fixture::start().await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let body =
        json!({"input": "Hi.", "priority": "batch", "expires_in_s": 60, "metadata": {"a": "b"}});
    let request = gateway.request(Method::POST, "/v1/jobs").json(&body);
    let response = gateway.send(request.header("traceparent", trace)).await;

    let location = response
        .header("location")
        .expect("the response has a Location header")
        .to_owned();
    let retry_after_s: u64 = response
        .header("retry-after")
        .expect("the response has a Retry-After header")
        .parse()
        .unwrap();
    assert!(retry_after_s >= 1);
    assert_eq!(response.header("idempotency-replayed"), None);
    let job = response.expect(202);
    let id = id_of(&job);
    assert_eq!(location, format!("/v1/jobs/{id}"));
    let mut field_names: Vec<&str> = job
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    field_names.sort_unstable();
    let expected = "attempts created_at ended_at error expires_at finish_reason id metadata model \
        object output priority provider queue session_id started_at status turns_dropped turns_sent usage";
    assert_eq!(field_names.join(" "), expected);
    assert_eq!(
        (&job["object"], &job["status"]),
        (&json!("job"), &json!("queued"))
    );
    assert_eq!(
        (&job["model"], &job["priority"]),
        (&json!("simulated"), &json!("batch"))
    );
    assert_eq!(job["metadata"], json!({"a": "b"}));
    for null_field in [
        "session_id",
        "started_at",
        "ended_at",
        "output",
        "error",
        "usage",
        "turns_sent",
    ] {
        assert_eq!(job[null_field], Value::Null, "the field {null_field}");
    }

    let record = gateway
        .member
        .store
        .job(&Default::default(), id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(record.meta.traceparent.as_deref(), Some(trace));
    assert_eq!(
        record.meta.expires_at.since_ms(record.meta.created_at),
        60_000
    );
    assert_eq!(record.meta.keep_until, None);
    let request = gateway.member.store.request(id).await.unwrap().unwrap();
    assert_eq!(request.input[0].content.as_ref().unwrap().to_text(), "Hi.");
}

#[tokio::test]
async fn a_job_is_shown_while_queued_while_running_and_when_completed() {
    let gateway = Fixture::start().await;
    let id = gateway.submit_accepted(&json!({"input": "Hi."})).await;
    let path = format!("/v1/jobs/{id}");
    let queued = gateway.get(&path).await;
    assert!(queued.header("retry-after").is_some());
    assert_eq!(queued.expect(200)["status"], "queued");

    gateway.claim(&lane_without_session(id), id).await;
    let running = gateway.get(&path).await.expect(200);
    assert_eq!(running["status"], "in_progress");
    assert!(running["started_at"].is_string());
    assert_eq!(running["attempts"][0]["n"], 1);
    assert_eq!(running["attempts"][0]["ended_at"], Value::Null);

    let id = gateway.submit_accepted(&json!({"input": "Hi."})).await;
    gateway
        .complete(&lane_without_session(id), id, "Hello.")
        .await;
    let ended = gateway.get(&format!("/v1/jobs/{id}")).await;
    assert_eq!(ended.header("retry-after"), None);
    let ended = ended.expect(200);
    assert_eq!(ended["status"], "completed");
    assert_eq!(ended["output"], json!({"text": "Hello.", "tool_calls": []}));
    assert_eq!(
        (&ended["finish_reason"], &ended["provider"]),
        (&json!("stop"), &json!("test worker"))
    );
    assert!(ended["ended_at"].is_string());
}

#[tokio::test]
async fn unknown_and_malformed_ids_are_not_found() {
    let gateway = Fixture::start().await;
    let unknown = JobId::fresh(&Default::default(), None).to_string();
    let long = "x".repeat(4_000);
    for id in [
        &unknown,
        "job_",
        "x",
        "%00",
        "%ff%fe",
        "%2e%2e%2fetc",
        "a%20b",
        "%F0%9F%A6%80",
        "'--",
        &long,
    ] {
        let path = format!("/v1/jobs/{id}");
        gateway
            .get(&path)
            .await
            .expect_problem(404, "job_not_found");
        gateway
            .post(&format!("{path}/cancel"))
            .await
            .expect_problem(404, "job_not_found");
        let path = format!("/v1/sessions/{id}");
        gateway
            .get(&path)
            .await
            .expect_problem(404, "session_not_found");
        gateway
            .delete(&path)
            .await
            .expect_problem(404, "session_not_found");
    }
}

#[tokio::test]
async fn unknown_routes_and_methods_are_answered_with_problems() {
    let gateway = Fixture::start().await;
    gateway
        .get("/v1/nothing")
        .await
        .expect_problem(404, "not_found");
    for (method, path, allowed) in [
        (Method::DELETE, "/v1/jobs", "GET,HEAD,POST"),
        (Method::POST, "/v1/jobs/x", "GET,HEAD,DELETE"),
        (Method::POST, "/v1/sessions/x", "GET,HEAD,PUT,PATCH,DELETE"),
        (Method::PUT, "/healthz", "GET,HEAD"),
    ] {
        let response = gateway.send(gateway.request(method, path)).await;
        assert_eq!(response.header("allow"), Some(allowed), "path {path}");
        response.expect_problem(405, "method_not_allowed");
    }
}

#[tokio::test]
async fn the_queues_show_waiting_jobs() {
    let gateway = Fixture::start().await;
    for _ in 0..3 {
        gateway.submit_accepted(&job_in_session("s")).await;
    }
    gateway
        .submit_accepted(&json!({"input": "Hi.", "priority": "batch"}))
        .await;
    // The gateway reads the counts once a second.
    let queues = repeat_until(
        || gateway.get("/v1/queues"),
        |response| response.body["classes"]["batch"]["live"] == 1,
    );
    let queues = queues.await.expect(200);
    let interactive = &queues["classes"]["interactive"];
    assert_eq!(
        (&interactive["ready"], &interactive["behind_session"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(
        (&interactive["in_flight"], &interactive["retry_wait"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(interactive["live"], 3);
    assert!(interactive["oldest_wait_s"].is_f64() && interactive["drained_per_s"].is_f64());
    assert_eq!(queues["classes"].as_object().unwrap().len(), 2);
}

#[tokio::test]
async fn a_full_session_refuses_submits() {
    let gateway = Fixture::start().await;
    for _ in 0..200 {
        gateway.submit_accepted(&job_in_session("s")).await;
    }
    let retry_after_s = |refused: &ApiResponse| -> u64 {
        let seconds = refused.header("retry-after").expect("the header");
        seconds.parse().expect("seconds")
    };
    let refused = gateway.submit(&job_in_session("s")).await;
    assert!((1..=60).contains(&retry_after_s(&refused)));
    refused.expect_problem(429, "session_full");
    // No job ends, so the advised pause becomes longer.
    let job = job_in_session("s");
    let later = repeat_until(
        || gateway.submit(&job),
        |refused| retry_after_s(refused) > 1,
    );
    later.await.expect_problem(429, "session_full");
    gateway.submit_accepted(&job_in_session("another")).await;
    assert_eq!(gateway.live_jobs().await, 201);
}

#[tokio::test]
async fn if_busy_reject_refuses_the_submit_and_rollback_cancels_the_live_job() {
    let gateway = Fixture::start().await;
    let job_with = |if_busy: &str| json!({"input": "Hi.", "session_id": "s", "if_busy": if_busy});
    let first = gateway.submit_accepted(&job_with("reject")).await;
    gateway
        .submit(&job_with("reject"))
        .await
        .expect_problem(409, "session_busy");
    let second = gateway.submit_accepted(&job_with("rollback")).await;
    let cancelled = gateway.get(&format!("/v1/jobs/{first}")).await.expect(200);
    assert_eq!(cancelled["status"], "cancelled");
    gateway.submit_accepted(&job_with("enqueue")).await;
    assert_eq!(gateway.live_jobs().await, 2);
    gateway.complete(&lane_of("s"), second, "Hello.").await;
}

#[tokio::test]
async fn tool_results_go_before_waiting_jobs() {
    let gateway = Fixture::start().await;
    let first = gateway.submit_accepted(&job_in_session("s")).await;
    let results = json!({"session_id": "s", "input": [
        {"role": "tool", "tool_call_id": "call_1", "content": "42"},
    ]});
    let results = gateway.submit_accepted(&results).await;
    gateway.claim(&lane_of("s"), results).await;
    let waiting = gateway
        .member
        .store
        .job(&Default::default(), first)
        .await
        .unwrap()
        .unwrap();
    assert!(matches!(waiting.state, JobState::Live(live) if !live.entry.claimed));
}

#[tokio::test]
async fn a_live_job_shows_its_place_in_the_queue() {
    let gateway = Fixture::start().await;
    let mut ids = Vec::new();
    for ahead in 0..3 {
        let job = gateway.submit(&job_in_session("s")).await.expect(202);
        assert_eq!(job["queue"]["ahead_in_session"], ahead, "{job}");
        ids.push(id_of(&job));
    }
    let position = async |id| {
        let job = gateway.get(&format!("/v1/jobs/{id}")).await.expect(200);
        job["queue"].clone()
    };
    for (ahead, id) in ids.iter().enumerate() {
        assert_eq!(position(id).await["ahead_in_session"], ahead);
    }
    let head = ids[0];
    gateway.claim(&lane_of("s"), head).await;
    let running = position(&head).await;
    assert_eq!(
        (&running["ahead_in_session"], &running["ahead_in_class"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(running["eta_s"], json!(null), "no job has ended: {running}");
    gateway
        .post(&format!("/v1/jobs/{head}/cancel"))
        .await
        .expect(200);
    assert_eq!(position(&head).await, json!(null));
    assert_eq!(position(&ids[2]).await["ahead_in_session"], 1);
}
