//! Tests of `replace_from_turn`: which numbers a submit may name.

use reqwest::Method;
use serde_json::{Value, json};

use crate::fixture::{Fixture, job_in_session, lane_of};

/// A gateway with a session `s` of two turns, 0 and 1.
async fn with_two_turns() -> Fixture {
    let gateway = Fixture::start().await;
    let id = gateway.submit_accepted(&job_in_session("s")).await;
    gateway.complete(&lane_of("s"), id, "Hello.").await;
    gateway
}

fn replacing(session: &str, from: u64) -> Value {
    json!({"input": "new", "session_id": session, "replace_from_turn": from})
}

#[tokio::test]
async fn a_submit_may_replace_a_turn_that_the_session_shows() {
    let gateway = with_two_turns().await;
    let session = gateway.get("/v1/sessions/s").await.expect(200);
    let numbers: Vec<&Value> = session["turns"]
        .as_array()
        .expect("turns")
        .iter()
        .map(|turn| &turn["number"])
        .collect();
    assert_eq!(numbers, [&json!(0), &json!(1)]);
    for from in [0, 1] {
        gateway.submit_accepted(&replacing("s", from)).await;
    }
    let regenerated = json!({"session_id": "s", "replace_from_turn": 1});
    gateway.submit_accepted(&regenerated).await;
}

#[tokio::test]
async fn a_number_that_the_session_does_not_have_is_refused() {
    let gateway = with_two_turns().await;
    for (session, from) in [("s", 2), ("s", 4_294_967_295), ("other", 0)] {
        let problem = gateway
            .submit(&replacing(session, from))
            .await
            .expect_problem(422, "invalid_request");
        let error = &problem["errors"][0];
        assert_eq!(error["field"], "replace_from_turn", "{problem}");
        let message = error["message"].as_str().expect("a message");
        assert!(message.contains(&format!("no turn {from}")), "{message}");
    }
    // A refused submit creates no session.
    gateway
        .get("/v1/sessions/other")
        .await
        .expect_problem(404, "session_not_found");
}

#[tokio::test]
async fn all_faults_of_a_replacement_are_named() {
    let gateway = Fixture::start().await;
    let result = json!({"role": "tool", "tool_call_id": "c", "content": "42"});
    let cases = [
        (json!({}), &["input"][..]),
        (json!({"replace_from_turn": 0}), &["session_id"]),
        (
            json!({"replace_from_turn": -1, "session_id": "s", "input": "x"}),
            &["replace_from_turn"],
        ),
        (
            json!({"replace_from_turn": "1", "temperature": 9, "session_id": "s"}),
            &["replace_from_turn", "temperature"],
        ),
        (
            json!({"replace_from_turn": 0, "session_id": "s", "input": [result]}),
            &["replace_from_turn"],
        ),
    ];
    for (body, fields) in cases {
        let problem = gateway
            .submit(&body)
            .await
            .expect_problem(422, "invalid_request");
        let mut named: Vec<&str> = problem["errors"]
            .as_array()
            .expect("errors")
            .iter()
            .filter_map(|error| error["field"].as_str())
            .collect();
        named.sort_unstable();
        assert_eq!(named, fields, "{body}: {problem}");
    }
}

#[tokio::test]
async fn a_repeated_submit_gets_its_job_although_the_turn_is_gone() {
    let gateway = with_two_turns().await;
    let body = replacing("s", 0);
    let first = gateway.submit_with_key(&body, "k").await.expect(202);
    let id = first["id"].clone();
    // The turn disappears: the job is cancelled, and then the session is deleted.
    let path = format!("/v1/jobs/{}/cancel", id.as_str().expect("an id"));
    gateway.post(&path).await.expect(200);
    assert_eq!(gateway.delete("/v1/sessions/s").await.status, 204);
    let repeated = gateway.submit_with_key(&body, "k").await.expect(202);
    assert_eq!(repeated["id"], id);
    gateway
        .submit(&body)
        .await
        .expect_problem(422, "invalid_request");
}

#[tokio::test]
async fn the_key_of_a_refused_number_can_be_used_again_at_once() {
    let gateway = with_two_turns().await;
    gateway
        .submit_with_key(&replacing("s", 9), "k")
        .await
        .expect_problem(422, "invalid_request");
    gateway
        .submit_with_key(&replacing("s", 1), "k")
        .await
        .expect(202);
}

#[tokio::test]
async fn a_retry_replaces_only_the_turns_that_the_session_had_at_the_submit() {
    let gateway = with_two_turns().await;
    let cancelled = async || {
        let id = gateway.submit_accepted(&replacing("s", 0)).await;
        gateway
            .post(&format!("/v1/jobs/{id}/cancel"))
            .await
            .expect(200);
        format!("/v1/jobs/{id}/retry")
    };
    let (first, second) = (cancelled().await, cancelled().await);
    gateway.post(&first).await.expect(202);
    gateway
        .post(&first.replace("retry", "cancel"))
        .await
        .expect(200);

    // The session is emptied. Its next turn has the same number as before.
    let empty = gateway.request(Method::PUT, "/v1/sessions/s");
    let filled = gateway.get("/v1/sessions/s").await.expect(200);
    gateway.send(empty.json(&json!({}))).await.expect(200);
    gateway
        .post(&second)
        .await
        .expect_problem(409, "session_changed");
    let turns = json!({ "turns": filled["turns"] });
    let refill = gateway.request(Method::PUT, "/v1/sessions/s");
    gateway.send(refill.json(&turns)).await.expect(200);

    // The session gets further turns.
    let id = gateway.submit_accepted(&job_in_session("s")).await;
    gateway.complete(&lane_of("s"), id, "More.").await;
    gateway
        .post(&second)
        .await
        .expect_problem(409, "session_changed");

    // The session is deleted, and a new one with its id gets as many turns.
    assert_eq!(gateway.delete("/v1/sessions/s").await.status, 204);
    gateway
        .post(&first)
        .await
        .expect_problem(409, "session_changed");
    let id = gateway.submit_accepted(&job_in_session("s")).await;
    gateway.complete(&lane_of("s"), id, "Hello.").await;
    gateway
        .post(&first)
        .await
        .expect_problem(409, "session_changed");
}
