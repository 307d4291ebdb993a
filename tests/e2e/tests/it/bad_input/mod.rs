//! Bad input over the real binary: each kind gets its 4xx as problem details (RFC 9457), never a 500,
//! and leaves nothing behind. Every field's own rules are the gateway's tests' business.

mod bodies;
mod fields;
mod resources;

use e2e::client::{Answer, Client};
use reqwest::{Body, Method};
use serde_json::Value;

use crate::pair::Pair;

/// The session that every bad submit names; none may ever come to be.
const NEVER: &str = "never";

/// Fails unless the answer is a problem with this status and code; returns it.
fn problem(what: &str, answer: Answer, status: u16, code: &str) -> Value {
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
        let is_said = body[text].as_str().is_some_and(|text| !text.is_empty());
        assert!(is_said, "{what}: {body}");
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

/// Fails if anything was stored or asked of the provider.
async fn nothing_is_left(pair: &Pair) {
    let session = pair.client.session(NEVER).await;
    problem("the session", session, 404, "session_not_found");
    // A good job counts; were another one live, the count would be higher.
    let gate = pair.llm.hold();
    let good = pair.submit_message("good", "turn=0").await;
    pair.running("turn=0").await;
    pair.live_jobs_become(1).await;
    gate.open();
    pair.text(&good).await;
    pair.live_jobs_become(0).await;
    assert_eq!(pair.llm.stats().requests, 1, "{}", pair.llm.listing());
}
