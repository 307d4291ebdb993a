//! JSON that is not a valid job: wrong types, unknown fields, empty inputs, and values out of range.

use serde_json::{Value, json};

use super::{NEVER_STORED, assert_nothing_stored_or_called, expect_problem, post};
use crate::fixture::Fixture;

#[tokio::test]
async fn an_invalid_job_is_answered_with_422_and_the_name_of_the_field() {
    let fixture = Fixture::start().await;
    let job_with = |name: &str, value: Value| {
        let mut job = json!({ "session_id": NEVER_STORED, "input": "hi" });
        job[name] = value;
        job
    };
    let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
    for (job, field) in [
        (json!("hi"), "body"),
        (json!([job_with("input", json!("hi"))]), "body"),
        (json!({ "session_id": NEVER_STORED }), "input"),
        // wrong types
        (job_with("input", json!(7)), "input"),
        (
            job_with("input", json!([{ "role": "user", "content": 7 }])),
            "input[0].content",
        ),
        (job_with("model", json!(["gpt-test"])), "model"),
        (job_with("context", json!("all")), "context"),
        (job_with("metadata", json!({ "a": 1 })), "a"),
        (job_with("tools", json!({ "f": 1 })), "tools"),
        // unknown
        (job_with("imput", json!("hi")), "imput"),
        (job_with("context", json!({ "turns": 3 })), "context.turns"),
        (
            job_with("input", json!([{ "role": "robot", "content": "hi" }])),
            "input[0].role",
        ),
        (job_with("priority", json!("urgent")), "priority"),
        (job_with("if_busy", json!("wait")), "if_busy"),
        // empty
        (job_with("input", json!("")), "input"),
        (job_with("input", json!([])), "input"),
        (
            job_with("input", json!([{ "role": "user", "content": "" }])),
            "input[0].content",
        ),
        (job_with("model", json!("")), "model"),
        // out of range
        (job_with("temperature", json!(2.1)), "temperature"),
        (job_with("top_p", json!(0)), "top_p"),
        (job_with("max_output_tokens", json!(0)), "max_output_tokens"),
        (job_with("tool_wait_s", json!(3_601)), "tool_wait_s"),
        (job_with("expires_in_s", json!(0)), "expires_in_s"),
        (job_with("expires_in_s", json!(1e300)), "expires_in_s"),
        (
            job_with("context", json!({ "max_turns": 0 })),
            "context.max_turns",
        ),
        (job_with("extra_body", json!({ "x": deep })), "extra_body"),
        // session ids
        (job_with("session_id", json!("")), "session_id"),
        (job_with("session_id", json!("..")), "session_id"),
        (job_with("session_id", json!("a\u{0}b")), "session_id"),
        (job_with("session_id", json!("a\u{85}b")), "session_id"),
        (job_with("session_id", json!("größe\n")), "session_id"),
        (job_with("session_id", json!("x".repeat(201))), "session_id"),
        (
            job_with("session_id", json!("x".repeat(100_000))),
            "session_id",
        ),
    ] {
        let input = format!("{field} in {:.80}", job.to_string());
        let answer = post(&fixture.client, job.to_string()).await;
        let body = expect_problem(&input, answer, 422, "invalid_request");
        let errors = body["errors"].as_array().expect("the problem lists errors");
        let names_field = |error: &Value| {
            let name = error["field"].as_str().unwrap_or_default();
            name.ends_with(field)
                && error["message"]
                    .as_str()
                    .is_some_and(|message| message.len() > 5)
        };
        assert!(
            errors.iter().any(names_field),
            "the problem does not name the field of {input}: {body}"
        );
    }
    assert_nothing_stored_or_called(&fixture).await;
}

#[tokio::test]
async fn an_invalid_idempotency_key_and_a_key_with_another_body_are_answered_with_422() {
    let fixture = Fixture::start().await;
    let job = json!({ "session_id": NEVER_STORED, "input": "hi" });
    for key in [String::new(), "x".repeat(256), String::from("a\tb")] {
        let answer = fixture.client.submit_with_key(&job, &key).await;
        expect_problem(&key, answer, 422, "invalid_request");
    }
    assert_nothing_stored_or_called(&fixture).await;
    let accepted = json!({ "session_id": "accepted", "input": "turn=1" });
    let first = fixture
        .client
        .submit_with_key(&accepted, "key")
        .await
        .expect(202);
    let answer = fixture.client.submit_with_key(&job, "key").await;
    expect_problem("another body", answer, 422, "idempotency_key_reused");
    let again = fixture.client.submit_with_key(&accepted, "key").await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.body["id"], first["id"]);
    fixture
        .completed_text(first["id"].as_str().expect("the job has an id"))
        .await;
    assert_eq!(fixture.client.session(NEVER_STORED).await.status, 404);
}
