//! Tests of invalid submits: the response has the right status and code and names the invalid field, and nothing is stored.

use reqwest::Method;
use serde_json::json;

use crate::{fixture::Fixture, invalid_submits::invalid_submits};

#[tokio::test]
async fn every_invalid_field_is_named_and_nothing_is_stored() {
    let gateway = Fixture::start().await;
    for (body, field) in invalid_submits() {
        let body_text: String = body.to_string().chars().take(200).collect();
        let problem = gateway
            .submit(&body)
            .await
            .expect_problem(422, "invalid_request");
        let errors = problem["errors"]
            .as_array()
            .expect("the problem lists errors");
        let fields: Vec<&str> = errors
            .iter()
            .filter_map(|error| error["field"].as_str())
            .collect();
        assert!(
            fields.contains(&field),
            "the response to {body_text}\nnames {fields:?}, not {field}"
        );
        assert!(errors.iter().all(|error| {
            error["message"]
                .as_str()
                .is_some_and(|message| message.len() > 10)
        }));
        assert!(problem["detail"].as_str().unwrap().contains(fields[0]));
    }
    assert_eq!(gateway.live_jobs().await, 0);
    gateway
        .get("/v1/sessions/s")
        .await
        .expect_problem(404, "session_not_found");
}

#[tokio::test]
async fn values_at_their_limits_are_accepted() {
    let gateway = Fixture::start().await;
    for body in [
        json!({"input": "Hi.", "metadata": {"k": "é".repeat(512)}}),
        json!({"input": vec![json!({"role": "user", "content": "x"}); 200]}),
        json!({"input": "Hi.", "temperature": 2, "top_p": 1, "stop": ["a", "b", "c", "d"]}),
        json!({"input": "Hi.", "expires_in_s": 604_800, "tool_wait_s": 3_600}),
        json!({"input": "Hi.", "if_busy": "enqueue", "max_output_tokens": 1_000_000}),
        json!({"input": "\u{0}\u{1f980}", "session_id": "A.b_c:d@e-1"}),
    ] {
        gateway.submit(&body).await.expect(202);
    }
}

#[tokio::test]
async fn a_body_that_is_not_json_is_refused() {
    let gateway = Fixture::start().await;
    let unclosed = format!("{}{}", r#"{"input":"Hi.","extra_body":"#, "[".repeat(200));
    let deeply_nested = format!("{unclosed}{}}}", "]".repeat(200));
    let bodies: [&[u8]; 9] = [
        b"",
        b"Hi.",
        b"{\"input\": \"Hi.\"",
        b"{\"input\": \"Hi.\"} x",
        b"{'input': 'Hi.'}",
        b"{\"input\": \"\xff\xfe\"}",
        b"{\"input\": \"\\ud800\"}",
        b"{\"input\": \"Hi.\", \"temperature\": 1e999}",
        deeply_nested.as_bytes(),
    ];
    for body in bodies {
        let request = gateway
            .request(Method::POST, "/v1/jobs")
            .header("content-type", "application/json")
            .body(body.to_vec());
        gateway
            .send(request)
            .await
            .expect_problem(400, "invalid_json");
    }
    let request = gateway
        .request(Method::POST, "/v1/jobs")
        .header("content-type", "application/json")
        .body(deeply_nested);
    let problem = gateway
        .send(request)
        .await
        .expect_problem(400, "invalid_json");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("nested too deeply")
    );
    assert_eq!(gateway.live_jobs().await, 0);
}

#[tokio::test]
async fn a_content_type_other_than_json_is_refused() {
    let gateway = Fixture::start().await;
    let submit_with = |content_type: &'static str| {
        let request = gateway
            .request(Method::POST, "/v1/jobs")
            .body(r#"{"input":"Hi."}"#);
        gateway.send(request.header("content-type", content_type))
    };
    submit_with("text/plain")
        .await
        .expect_problem(415, "unsupported_media_type");
    submit_with("application/json; charset=utf-8")
        .await
        .expect(202);
}

#[tokio::test]
async fn without_a_default_model_a_submit_must_name_a_model() {
    let gateway = Fixture::with_settings(|settings| settings.default_model = None).await;
    let problem = gateway
        .submit(&json!({"input": "Hi."}))
        .await
        .expect_problem(422, "invalid_request");
    assert_eq!(problem["errors"][0]["field"], "model");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("FOREBAY_MODEL")
    );
    gateway
        .submit(&json!({"input": "Hi.", "model": "simulated"}))
        .await
        .expect(202);
}
