//! Tests of the client's retries, against a stub server.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    extract::Request,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::Client;

const TIMEOUT: Duration = Duration::from_secs(60);

/// A server that returns its answers one after the other and records its requests.
#[derive(Clone)]
struct Stub {
    answers: Arc<Mutex<VecDeque<(u16, Value)>>>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Stub {
    fn new(answers: impl IntoIterator<Item = (u16, Value)>) -> Self {
        Self {
            answers: Arc::new(Mutex::new(answers.into_iter().collect())),
            requests: Arc::default(),
        }
    }

    /// Starts the server and returns its URL.
    async fn serve(&self) -> String {
        let stub = self.clone();
        let router = Router::new().fallback(move |request| async move { stub.answer(&request) });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port is free");
        let url = format!(
            "http://{}",
            listener.local_addr().expect("the listener has an address")
        );
        tokio::spawn(axum::serve(listener, router).into_future());
        url
    }

    fn answer(&self, request: &Request) -> Response {
        let key = request.headers().get("idempotency-key");
        let key = key.and_then(|key| key.to_str().ok()).unwrap_or("-");
        let received = format!("{} {} {key}", request.method(), request.uri());
        self.requests
            .lock()
            .expect("no other request panicked")
            .push(received);
        let next = self
            .answers
            .lock()
            .expect("no other request panicked")
            .pop_front();
        let (status, body) = next.unwrap_or((500, json!("no more answers")));
        let status = StatusCode::from_u16(status).expect("the status is valid");
        (status, [("retry-after", "0")], body.to_string()).into_response()
    }

    fn requests(&self) -> Vec<String> {
        self.requests
            .lock()
            .expect("no other request panicked")
            .clone()
    }
}

#[tokio::test]
async fn a_refused_submit_is_repeated_with_the_same_key_until_it_is_accepted() {
    let stub = Stub::new([
        (503, json!({})),
        (429, json!({})),
        (202, json!({ "id": "j" })),
    ]);
    let client = Client::new(&stub.serve().await);
    let job = client
        .submit_until_accepted(&json!({}), "k1", TIMEOUT)
        .await;
    assert_eq!(job["id"], "j");
    assert_eq!(stub.requests(), ["POST /v1/jobs k1"; 3]);
}

#[tokio::test]
#[should_panic(expected = "submit k1: 422 Unprocessable Entity")]
async fn a_submit_with_a_permanent_error_is_not_repeated() {
    let stub = Stub::new([(422, json!({})), (202, json!({ "id": "j" }))]);
    let client = Client::new(&stub.serve().await);
    client
        .submit_until_accepted(&json!({}), "k1", TIMEOUT)
        .await;
}

#[tokio::test]
#[should_panic(expected = "submit k1 did not succeed within 2s; the last answer: 503")]
async fn a_submit_that_is_not_accepted_panics_after_the_timeout_with_the_last_answer() {
    let stub = Stub::new(vec![(503, json!({})); 1_000]);
    let client = Client::new(&stub.serve().await);
    let timeout = Duration::from_secs(2);
    client
        .submit_until_accepted(&json!({}), "k1", timeout)
        .await;
}

#[tokio::test]
async fn a_wait_for_a_job_goes_on_while_no_server_listens_or_the_server_answers_503() {
    let running = json!({ "id": "j", "status": "in_progress" });
    let done = json!({ "id": "j", "status": "completed" });
    let stub = Stub::new([(503, json!({})), (200, running), (200, done)]);
    let unused = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let unused = unused
        .expect("a port is free")
        .local_addr()
        .expect("the listener has an address");
    let client = Client::new(&format!("http://{unused}"));
    client.try_get("/").await.expect_err("nothing listens");
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.wait("j", TIMEOUT).await }
    });
    tokio::task::yield_now().await;
    client.set_url(&stub.serve().await);
    assert_eq!(
        waiting.await.expect("the wait returns the job")["status"],
        "completed"
    );
    assert!(stub.requests()[0].starts_with("GET /v1/jobs/j?wait_s="));
    assert_eq!(stub.requests().len(), 3);
}

#[tokio::test]
#[should_panic(expected = "the wait for job j: 404 Not Found")]
async fn a_wait_for_an_unknown_job_panics_immediately() {
    let stub = Stub::new([(404, json!({}))]);
    Client::new(&stub.serve().await).wait("j", TIMEOUT).await;
}

#[tokio::test]
async fn a_read_is_repeated_until_it_succeeds() {
    let stub = Stub::new([(503, json!({})), (200, json!({ "id": "s" }))]);
    let client = Client::new(&stub.serve().await);
    let session = client.get_until_ok("/v1/sessions/s", TIMEOUT).await;
    assert_eq!(session["id"], "s");
    assert_eq!(stub.requests(), ["GET /v1/sessions/s -"; 2]);
}

#[tokio::test]
async fn turns_are_submitted_in_order_with_different_keys() {
    let accepted = |id: &str| (202, json!({ "id": id }));
    let stub = Stub::new([accepted("a"), (503, json!({})), accepted("b")]);
    let client = Client::new(&stub.serve().await);
    let ids = client
        .submit_turns("s", 2, &json!({ "model": "m" }), TIMEOUT)
        .await;
    assert_eq!(ids, ["a", "b"]);
    let requests = stub.requests();
    assert_ne!(requests[0], requests[1]);
    assert_eq!(requests[1], requests[2]);
}
