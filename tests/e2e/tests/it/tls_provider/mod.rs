//! A provider over TLS: the handshake decides the protocol (ALPN), the protocol decides how many connections the calls
//! need, and a provider whose certificate is not trusted gets no request.

mod connections;
mod server;

use futures_util::future::join_all;
use http::Version;
use serde_json::{Value, json};
use servers::tls::Certificates;

use crate::pair::{GPT, Pair};
use connections::Connection;
use server::{ANSWER_TEXT, STREAMS_MAX, Server};

/// Jobs over HTTP/2 in these tests: more than fit on one connection.
const MANY: usize = 150;
/// Jobs over HTTP/1.1, each with a connection.
const SOME: usize = 20;

/// A key that no log and no error may contain.
const KEY: &str = "test-key-that-nobody-may-see";
/// A prompt that no log and no error may contain.
const PROMPT: &str = "a prompt that nobody may log";

/// A pair whose provider is this server, and which trusts only the certificates of this file.
async fn pair(server: &Server, ca_file: &str) -> Pair {
    pair_with(server, ("SSL_CERT_FILE", ca_file)).await
}

/// A pair whose provider is this server, with this variable.
async fn pair_with(server: &Server, variable: (&str, &str)) -> Pair {
    Pair::with(&[
        ("OPENAI_BASE_URL", &server.base_url()),
        ("OPENAI_API_KEY", KEY),
        ("FOREBAY_BACKOFF_MS", "50"),
        ("FOREBAY_TRIES_MAX", "3"),
        variable,
    ])
    .await
}

/// Submits `count` jobs that do not wait for each other.
async fn submit(pair: &Pair, count: usize) -> Vec<String> {
    let job = json!({ "input": PROMPT, "model": GPT });
    join_all((0..count).map(|_| pair.submit(&job))).await
}

async fn ended(pair: &Pair, jobs: &[String]) -> Vec<Value> {
    join_all(jobs.iter().map(|id| pair.wait(id))).await
}

/// Waits until all these jobs are completed, and returns the error codes of their failed attempts.
async fn answered(pair: &Pair, jobs: &[String]) -> Vec<Vec<Value>> {
    let failures = |job: Value| {
        assert_eq!(job["status"], "completed", "{job}");
        assert_eq!(job["output"]["text"], ANSWER_TEXT, "{job}");
        let codes = attempts_of(&job).iter().map(|one| &one["error"]["code"]);
        codes.filter(|code| !code.is_null()).cloned().collect()
    };
    let jobs = ended(pair, jobs).await;
    jobs.into_iter().map(failures).collect()
}

/// Fails unless all these jobs are completed at their first attempt.
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
    // The second round uses the connections of the first.
    for _ in 0..2 {
        let jobs = submit(&pair, MANY).await;
        let mut connections = server.waiting(MANY).await;
        // Calls that arrive together each open a connection, and close it again if another one is ready first.
        connections.retain(|one| one.asked > 0);
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
async fn over_http1_each_call_has_a_connection_of_its_own() {
    let server = Server::start(Version::HTTP_11).await;
    let pair = pair(&server, &server.ca_file()).await;
    let jobs = submit(&pair, SOME).await;
    let connections = server.waiting(SOME).await;
    assert_eq!(connections.len(), SOME, "{connections:?}");
    for one in &connections {
        assert_eq!(one.version, Version::HTTP_11);
        assert_eq!((one.asked, one.waiting), (1, 1), "{connections:?}");
    }
    server.answer(SOME);
    answered_at_once(&pair, &jobs).await;
}

#[tokio::test]
async fn certificates_of_a_file_are_trusted_in_addition_to_the_systems() {
    let authority = Certificates::new().expect("certificates");
    let self_signed = Certificates::self_signed(false).expect("a certificate");
    for certificates in [authority, self_signed] {
        let server = Server::with(Version::HTTP_2, certificates).await;
        let pair = pair_with(&server, ("FOREBAY_CA_FILE", &server.ca_file())).await;
        server.answer(1);
        answered_at_once(&pair, &submit(&pair, 1).await).await;
    }
}

#[tokio::test]
async fn a_self_signed_ca_is_refused_and_the_error_shows_how_to_make_a_certificate() {
    let certificates = Certificates::self_signed(true).expect("a certificate");
    let server = Server::with(Version::HTTP_2, certificates).await;
    let pair = pair_with(&server, ("FOREBAY_CA_FILE", &server.ca_file())).await;
    for job in ended(&pair, &submit(&pair, 1).await).await {
        assert_eq!(job["status"], "failed", "{job}");
        assert_eq!(job["error"]["code"], "connection_failed", "{job}");
        let message = job["error"]["message"].as_str().unwrap_or_default();
        for part in [
            "CaUsedAsEndEntity",
            "FOREBAY_CA_FILE",
            "openssl req -x509",
            "-addext basicConstraints=critical,CA:FALSE",
        ] {
            assert!(message.contains(part), "{job}");
        }
    }
    assert!(server.connections().is_empty());
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
    // No request was sent, because no handshake completed.
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
            assert!(!failures.is_empty(), "the server closed its connection");
            let is_expected = |code: &Value| code == "connection_failed";
            assert!(failures.iter().all(is_expected), "{failures:?}");
        }
    }
}
