//! Invalid requests to the real binary. Forebay answers them with a 4xx and problem details (RFC 9457), never with a
//! 500. It stores nothing and makes no call. The gateway's own tests cover the rules of each field.

mod bodies;
mod fields;
mod resources;

use e2e::client::{Answer, Client};
use reqwest::{Body, Method};
use serde_json::Value;

use crate::fixture::Fixture;

/// The session of every invalid submit. It must never exist.
const NEVER_STORED: &str = "never";

/// Asserts that the answer is a problem with this status and code, and returns its body. `input` describes the
/// invalid input in failure messages.
fn expect_problem(input: &str, answer: Answer, status: u16, code: &str) -> Value {
    assert_eq!(answer.status.as_u16(), status, "{input}: {}", answer.body);
    let content_type = answer.header("content-type");
    assert_eq!(content_type, Some("application/problem+json"), "{input}");
    let body = answer.body;
    assert_eq!(body["code"], code, "{input}: {body}");
    assert_eq!(body["status"], status, "{input}: {body}");
    assert_eq!(
        body["type"],
        format!("urn:forebay:problem:{code}"),
        "{input}"
    );
    for text in ["title", "detail"] {
        let is_present = body[text].as_str().is_some_and(|text| !text.is_empty());
        assert!(is_present, "{input}: the problem has no {text}: {body}");
    }
    body
}

async fn send(client: &Client, method: Method, path: &str, body: impl Into<Body>) -> Answer {
    let request = client
        .http()
        .request(method, client.url_of(path))
        .body(body);
    let response = request
        .header("content-type", "application/json")
        .send()
        .await
        .unwrap_or_else(|error| panic!("the request to {path} got no answer: {error:?}"));
    answer_of(response).await
}

async fn answer_of(response: reqwest::Response) -> Answer {
    let (status, headers) = (response.status(), response.headers().clone());
    let bytes = response.bytes().await.expect("the answer is complete");
    Answer {
        status,
        headers,
        body: serde_json::from_slice(&bytes).unwrap_or_default(),
    }
}

async fn post(client: &Client, body: impl Into<Body>) -> Answer {
    send(client, Method::POST, "/v1/jobs", body).await
}

/// Asserts that the invalid submits created no session and no job, and made no call.
async fn assert_nothing_stored_or_called(fixture: &Fixture) {
    let session = fixture.client.session(NEVER_STORED).await;
    expect_problem("the session", session, 404, "session_not_found");
    // With one valid job, the number of live jobs must be 1.
    let gate = fixture.llm.gate_all_requests();
    let valid = fixture.submit_message("valid", "turn=0").await;
    fixture.wait_for_call("turn=0").await;
    fixture.wait_for_live_jobs(1).await;
    gate.open();
    fixture.completed_text(&valid).await;
    fixture.wait_for_live_jobs(0).await;
    assert_eq!(fixture.llm.stats().requests, 1, "{}", fixture.llm.listing());
}
