//! Bad input to the real binary: each kind is answered with a 4xx and problem details (RFC 9457), never with a 500. It
//! stores nothing and makes no call. The gateway's own tests cover the rules of each field.

mod bodies;
mod fields;
mod resources;

use e2e::client::{Answer, Client};
use reqwest::{Body, Method};
use serde_json::Value;

use crate::fixture::Fixture;

/// The session of every bad submit. It must never exist.
const NEVER_STORED: &str = "never";

/// Fails unless the answer is a problem with this status and code; returns its body. `what` names the input.
fn expect_problem(what: &str, answer: Answer, status: u16, code: &str) -> Value {
    assert_eq!(answer.status.as_u16(), status, "{what}: {}", answer.body);
    let kind = answer.header("content-type");
    assert_eq!(kind, Some("application/problem+json"), "{what}");
    let body = answer.body;
    assert_eq!(body["code"], code, "{what}: {body}");
    assert_eq!(body["status"], status, "{what}: {body}");
    assert_eq!(
        body["type"],
        format!("urn:forebay:problem:{code}"),
        "{what}"
    );
    for text in ["title", "detail"] {
        let is_present = body[text].as_str().is_some_and(|text| !text.is_empty());
        assert!(is_present, "{what}: {body}");
    }
    body
}

async fn send(client: &Client, method: Method, path: &str, body: impl Into<Body>) -> Answer {
    let request = client.http().request(method, client.at(path)).body(body);
    let response = request
        .header("content-type", "application/json")
        .send()
        .await
        .unwrap_or_else(|error| panic!("{path}: {error:?}"));
    answer_of(response).await
}

async fn answer_of(response: reqwest::Response) -> Answer {
    let (status, headers) = (response.status(), response.headers().clone());
    let bytes = response.bytes().await.expect("a complete answer");
    Answer {
        status,
        headers,
        body: serde_json::from_slice(&bytes).unwrap_or_default(),
    }
}

async fn post(client: &Client, body: impl Into<Body>) -> Answer {
    send(client, Method::POST, "/v1/jobs", body).await
}

/// Fails if a bad submit has made a session, a job or a call.
async fn assert_nothing_stored_or_called(fixture: &Fixture) {
    let session = fixture.client.session(NEVER_STORED).await;
    expect_problem("the session", session, 404, "session_not_found");
    // One good job makes the count of live jobs 1. A second live job would make it 2.
    let gate = fixture.llm.gate_all_requests();
    let good = fixture.submit_message("good", "turn=0").await;
    fixture.wait_for_call("turn=0").await;
    fixture.live_jobs_become(1).await;
    gate.open();
    fixture.completed_text(&good).await;
    fixture.live_jobs_become(0).await;
    assert_eq!(fixture.llm.stats().requests, 1, "{}", fixture.llm.listing());
}
