//! JSON that is not a valid job: wrong types, unknown fields, empty input, values out of range.

use serde_json::{Value, json};

use super::{NEVER_STORED, assert_nothing_stored_or_called, expect_problem, post};
use crate::fixture::Fixture;

#[tokio::test]
async fn an_invalid_job_is_422_and_names_the_field() {
    let fixture = Fixture::start().await;
    let with = |name: &str, value: Value| {
        let mut job = json!({ "session_id": NEVER_STORED, "input": "hi" });
        job[name] = value;
        job
    };
    let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
    for (job, field) in [
        (json!("hi"), "body"),
        (json!([with("input", json!("hi"))]), "body"),
        (json!({ "session_id": NEVER_STORED }), "input"),
        // wrong types
        (with("input", json!(7)), "input"),
        (
            with("input", json!([{ "role": "user", "content": 7 }])),
            "input[0].content",
        ),
        (with("model", json!(["gpt-test"])), "model"),
        (with("context", json!("all")), "context"),
        (with("metadata", json!({ "a": 1 })), "a"),
        (with("tools", json!({ "f": 1 })), "tools"),
        // unknown
        (with("imput", json!("hi")), "imput"),
        (with("context", json!({ "turns": 3 })), "context.turns"),
        (
            with("input", json!([{ "role": "robot", "content": "hi" }])),
            "input[0].role",
        ),
        (with("priority", json!("urgent")), "priority"),
        (with("if_busy", json!("wait")), "if_busy"),
        // empty
        (with("input", json!("")), "input"),
        (with("input", json!([])), "input"),
        (
            with("input", json!([{ "role": "user", "content": "" }])),
            "input[0].content",
        ),
        (with("model", json!("")), "model"),
        // out of range
        (with("temperature", json!(2.1)), "temperature"),
        (with("top_p", json!(0)), "top_p"),
        (with("max_output_tokens", json!(0)), "max_output_tokens"),
        (with("tool_wait_s", json!(3_601)), "tool_wait_s"),
        (with("expires_in_s", json!(0)), "expires_in_s"),
        (with("expires_in_s", json!(1e300)), "expires_in_s"),
        (
            with("context", json!({ "max_turns": 0 })),
            "context.max_turns",
        ),
        (with("extra_body", json!({ "x": deep })), "extra_body"),
        // session ids
        (with("session_id", json!("")), "session_id"),
        (with("session_id", json!("a/b")), "session_id"),
        (with("session_id", json!("a\u{0}b")), "session_id"),
        (with("session_id", json!("../../etc/passwd")), "session_id"),
        (with("session_id", json!("größe")), "session_id"),
        (with("session_id", json!("x".repeat(129))), "session_id"),
        (with("session_id", json!("x".repeat(100_000))), "session_id"),
    ] {
        let what = format!("{field} in {:.80}", job.to_string());
        let answer = post(&fixture.client, job.to_string()).await;
        let body = expect_problem(&what, answer, 422, "invalid_request");
        let named = body["errors"].as_array().expect("errors");
        let is_named = |error: &Value| {
            let name = error["field"].as_str().unwrap_or_default();
            name.ends_with(field) && error["message"].as_str().is_some_and(|m| m.len() > 5)
        };
        assert!(named.iter().any(is_named), "{what}: {body}");
    }
    assert_nothing_stored_or_called(&fixture).await;
}

#[tokio::test]
async fn a_bad_idempotency_key_is_422_and_so_is_a_key_with_another_body() {
    let fixture = Fixture::start().await;
    let job = json!({ "session_id": NEVER_STORED, "input": "hi" });
    for key in [String::new(), "x".repeat(256), String::from("a\tb")] {
        let answer = fixture.client.submit_with_key(&job, &key).await;
        expect_problem(&key, answer, 422, "invalid_request");
    }
    assert_nothing_stored_or_called(&fixture).await;
    let kept = json!({ "session_id": "kept", "input": "turn=1" });
    let id = fixture
        .client
        .submit_with_key(&kept, "key")
        .await
        .expect(202);
    let answer = fixture.client.submit_with_key(&job, "key").await;
    expect_problem("another body", answer, 422, "idempotency_key_reused");
    let again = fixture.client.submit_with_key(&kept, "key").await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.body["id"], id["id"]);
    fixture
        .completed_text(id["id"].as_str().expect("an id"))
        .await;
    assert_eq!(fixture.client.session(NEVER_STORED).await.status, 404);
}
