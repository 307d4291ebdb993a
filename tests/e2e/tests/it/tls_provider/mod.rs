//! A provider over TLS: which protocol is spoken follows from the handshake (ALPN), how many connections there
//! are follows from that, and nobody is asked whose certificate is of an unknown authority.

mod connections;
mod server;

use futures_util::future::join_all;
use http::Version;
use serde_json::{Value, json};
use servers::tls::Certificates;

use crate::pair::{GPT, Pair};
use connections::Connection;
use server::{SAID, STREAMS_MAX, Server};

/// Jobs over HTTP/2 in these tests: more than one connection takes.
const MANY: usize = 150;
/// Jobs over HTTP/1.1, with a connection for each.
const SOME: usize = 20;

/// A key that must not show up anywhere.
const KEY: &str = "test-key-that-nobody-may-see";
/// The same of a prompt.
const PROMPT: &str = "a prompt that nobody may log";

/// A pair that asks this server and trusts the authority of this file.
async fn pair(server: &Server, ca_file: &str) -> Pair {
    Pair::with(&[
        ("OPENAI_BASE_URL", &server.base_url()),
        ("OPENAI_API_KEY", KEY),
        ("SSL_CERT_FILE", ca_file),
        ("FOREBAY_BACKOFF_MS", "50"),
        ("FOREBAY_TRIES_MAX", "3"),
    ])
    .await
}

/// Submits so many jobs, none of which waits for another.
async fn submit(pair: &Pair, count: usize) -> Vec<String> {
    let job = json!({ "input": PROMPT, "model": GPT });
    join_all((0..count).map(|_| pair.submit(&job))).await
}

async fn ended(pair: &Pair, jobs: &[String]) -> Vec<Value> {
    join_all(jobs.iter().map(|id| pair.wait(id))).await
}

/// Waits until all these jobs are answered; returns how each of their attempts failed that did.
async fn answered(pair: &Pair, jobs: &[String]) -> Vec<Vec<Value>> {
    let failures = |job: Value| {
        assert_eq!(job["status"], "completed", "{job}");
        assert_eq!(job["output"]["text"], SAID, "{job}");
        let codes = attempts_of(&job).iter().map(|one| &one["error"]["code"]);
        codes.filter(|code| !code.is_null()).cloned().collect()
    };
    let jobs = ended(pair, jobs).await;
    jobs.into_iter().map(failures).collect()
}

/// Fails unless all these jobs are answered at their first attempt.
async fn answered_at_once(pair: &Pair, jobs: &[String]) {
    let failures = answered(pair, jobs).await;
    assert!(failures.iter().all(Vec::is_empty), "{failures:?}");
}

fn attempts_of(job: &Value) -> &[Value] {
    job["attempts"].as_array().map_or(&[], Vec::as_slice)
}

#[tokio::test]
async fn over_http2_many_calls_share_as_few_connections_as_they_need() {
    let server = Server::start(Version::HTTP_2).await;
    let pair = pair(&server, &server.ca_file()).await;
    // The second time on the connections of the first.
    for _ in 0..2 {
        let jobs = submit(&pair, MANY).await;
        let connections = server.waiting(MANY).await;
        assert_eq!(connections.len(), 2, "{connections:?}");
        let mut waiting: Vec<_> = connections.iter().map(|one| one.waiting).collect();
        waiting.sort_unstable();
        let full = STREAMS_MAX as usize;
        assert_eq!(waiting, [MANY - full, full]);
        assert!(connections.iter().all(|one| one.version == Version::HTTP_2));
        server.answer(MANY);
        answered_at_once(&pair, &jobs).await;
    }
}

#[tokio::test]
async fn over_http1_each_call_has_a_connection_and_leaves_it_for_the_next() {
    let server = Server::start(Version::HTTP_11).await;
    let pair = pair(&server, &server.ca_file()).await;
    for round in 1..=2 {
        let jobs = submit(&pair, SOME).await;
        let connections = server.waiting(SOME).await;
        assert_eq!(connections.len(), SOME, "{connections:?}");
        for one in &connections {
            assert_eq!(one.version, Version::HTTP_11);
            assert_eq!((one.asked, one.waiting), (round, 1), "{connections:?}");
        }
        server.answer(SOME);
        answered_at_once(&pair, &jobs).await;
    }
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_a_failed_connection() {
    let server = Server::start(Version::HTTP_2).await;
    let strangers = Certificates::new().expect("certificates");
    let pair = pair(&server, &strangers.ca_file().display().to_string()).await;
    for job in ended(&pair, &submit(&pair, 2).await).await {
        assert_eq!(job["status"], "failed", "{job}");
        assert_eq!(attempts_of(&job).len(), 3, "{job}");
        for attempt in attempts_of(&job) {
            let error = &attempt["error"];
            assert_eq!(error["code"], "connection_failed", "{job}");
            let message = error["message"].as_str().unwrap_or_default();
            assert!(
                message.ends_with("invalid peer certificate: UnknownIssuer"),
                "{job}"
            );
            assert!(!message.contains(KEY) && !message.contains(PROMPT), "{job}");
        }
    }
    let logs = pair.forebay.logs();
    assert!(!logs.contains(KEY) && !logs.contains(PROMPT), "{logs}");
    // Nothing was sent: no handshake came to its end.
    assert!(server.connections().is_empty());
}

#[tokio::test]
async fn jobs_go_on_when_a_server_speaks_another_version_after_a_restart() {
    let server = Server::start(Version::HTTP_2).await;
    let pair = pair(&server, &server.ca_file()).await;
    server.answer(SOME);
    let jobs = submit(&pair, SOME).await;
    answered_at_once(&pair, &jobs).await;

    for version in [Version::HTTP_11, Version::HTTP_2] {
        let cut_off = submit(&pair, SOME).await;
        server.waiting(SOME).await;
        server.restart(version);
        server.waiting(SOME).await;
        let later = submit(&pair, SOME).await;
        let connections = server.waiting(2 * SOME).await;
        let is_new = |one: &Connection| one.version == version;
        assert!(connections.iter().all(is_new), "{connections:?}");
        server.answer(2 * SOME);
        answered(&pair, &later).await;
        for failures in answered(&pair, &cut_off).await {
            assert!(!failures.is_empty(), "its connection was closed");
            let is_expected = |code: &Value| code == "connection_failed";
            assert!(failures.iter().all(is_expected), "{failures:?}");
        }
    }
}
