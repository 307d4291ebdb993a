//! A provider over TLS. The handshake selects the version of HTTP (ALPN), and the version determines how many
//! connections the calls need. A provider whose certificate is not trusted gets no request.

pub(crate) mod server;

use futures_util::future::join_all;
use scripted_provider::http_server::{Connection, Version};
use serde_json::{Value, json};
use servers::tls::Certificates;

use crate::fixture::{Fixture, GPT};
use server::{ANSWER_TEXT, STREAMS_MAX, Server};

/// More calls than one HTTP/2 connection allows.
const MANY_JOBS: usize = 150;
/// A number of calls that one HTTP/2 connection allows. Over HTTP/1.1 each call needs a connection of its own.
const FEW_JOBS: usize = 20;

/// A key that no log and no error may contain.
const KEY: &str = "test-key-that-nobody-may-see";
/// A prompt that no log and no error may contain.
const PROMPT: &str = "a prompt that nobody may log";

/// Starts a process with this server as its provider. The process trusts only the certificates of this file.
async fn fixture(server: &Server, ca_file: &str) -> Fixture {
    fixture_with(server, ("SSL_CERT_FILE", ca_file)).await
}

/// Starts a process with this server as its provider and with this environment variable.
async fn fixture_with(server: &Server, variable: (&str, &str)) -> Fixture {
    Fixture::with(&[
        ("OPENAI_BASE_URL", &server.base_url()),
        ("OPENAI_API_KEY", KEY),
        ("FOREBAY_BACKOFF_MS", "50"),
        ("FOREBAY_TRIES_MAX", "3"),
        variable,
    ])
    .await
}

/// Submits `count` jobs that do not wait for each other.
async fn submit(fixture: &Fixture, count: usize) -> Vec<String> {
    let job = json!({ "input": PROMPT, "model": GPT });
    join_all((0..count).map(|_| fixture.submit(&job))).await
}

/// Waits until all these jobs have ended.
async fn wait_all(fixture: &Fixture, jobs: &[String]) -> Vec<Value> {
    join_all(jobs.iter().map(|id| fixture.wait(id))).await
}

/// Waits until all these jobs are completed, and returns the error codes of their failed attempts.
async fn completed_with_failures(fixture: &Fixture, jobs: &[String]) -> Vec<Vec<Value>> {
    let failures = |job: Value| {
        assert_eq!(job["status"], "completed", "{job}");
        assert_eq!(job["output"]["text"], ANSWER_TEXT, "{job}");
        let codes = attempts_of(&job)
            .iter()
            .map(|attempt| &attempt["error"]["code"]);
        codes.filter(|code| !code.is_null()).cloned().collect()
    };
    let jobs = wait_all(fixture, jobs).await;
    jobs.into_iter().map(failures).collect()
}

/// Waits until all these jobs have ended. Asserts that they completed at their first attempt.
async fn assert_completed_at_first_attempt(fixture: &Fixture, jobs: &[String]) {
    let failures = completed_with_failures(fixture, jobs).await;
    assert!(
        failures.iter().all(Vec::is_empty),
        "attempts have failed: {failures:?}"
    );
}

fn attempts_of(job: &Value) -> &[Value] {
    job["attempts"].as_array().map_or(&[], Vec::as_slice)
}

#[tokio::test]
async fn over_http2_calls_share_as_few_connections_as_possible() {
    let server = Server::start(Version::HTTP_2).await;
    let fixture = fixture(&server, &server.ca_file()).await;
    let full_connection = STREAMS_MAX as usize;
    // Calls that begin together, before there is a connection, may each open one. So the first call of each connection
    // begins alone.
    let mut jobs = Vec::new();
    for unanswered in [1, full_connection, full_connection + 1, MANY_JOBS] {
        jobs.extend(submit(&fixture, unanswered - jobs.len()).await);
        server.wait_for_unanswered(unanswered).await;
    }
    assert_two_connections(&server).await;
    server.permit_answers(MANY_JOBS);
    assert_completed_at_first_attempt(&fixture, &jobs).await;

    // Calls that begin together use the connections that are there.
    let jobs = submit(&fixture, MANY_JOBS).await;
    assert_two_connections(&server).await;
    server.permit_answers(MANY_JOBS);
    assert_completed_at_first_attempt(&fixture, &jobs).await;
}

/// Asserts that the calls in flight are [`MANY_JOBS`], over one full connection and a second one.
async fn assert_two_connections(server: &Server) {
    let connections = server.wait_for_unanswered(MANY_JOBS).await;
    assert_eq!(connections.len(), 2, "{connections:?}");
    let mut unanswered: Vec<_> = connections
        .iter()
        .map(|connection| connection.unanswered)
        .collect();
    unanswered.sort_unstable();
    let full_connection = STREAMS_MAX as usize;
    assert_eq!(unanswered, [MANY_JOBS - full_connection, full_connection]);
    assert!(
        connections
            .iter()
            .all(|connection| connection.version == Version::HTTP_2)
    );
}

#[tokio::test]
async fn over_http2_calls_that_begin_together_complete_at_first_attempt() {
    let server = Server::start(Version::HTTP_2).await;
    let fixture = fixture(&server, &server.ca_file()).await;
    let jobs = submit(&fixture, MANY_JOBS).await;
    let connections = server.wait_for_unanswered(MANY_JOBS).await;
    let streams_max = STREAMS_MAX as usize;
    assert!(
        connections
            .iter()
            .all(|connection| connection.unanswered <= streams_max),
        "{connections:?}"
    );
    server.permit_answers(MANY_JOBS);
    assert_completed_at_first_attempt(&fixture, &jobs).await;
}

#[tokio::test]
async fn over_http1_each_call_has_a_connection_of_its_own() {
    let server = Server::start(Version::HTTP_11).await;
    let fixture = fixture(&server, &server.ca_file()).await;
    let jobs = submit(&fixture, FEW_JOBS).await;
    let connections = server.wait_for_unanswered(FEW_JOBS).await;
    assert_eq!(connections.len(), FEW_JOBS, "{connections:?}");
    for connection in &connections {
        assert_eq!(connection.version, Version::HTTP_11);
        assert_eq!(
            (connection.requests, connection.unanswered),
            (1, 1),
            "{connections:?}"
        );
    }
    server.permit_answers(FEW_JOBS);
    assert_completed_at_first_attempt(&fixture, &jobs).await;
}

#[tokio::test]
async fn certificates_of_the_ca_file_are_trusted() {
    let authority = Certificates::new().expect("the certificates are made");
    let is_ca = false;
    let self_signed = Certificates::self_signed(is_ca).expect("the certificate is made");
    for certificates in [authority, self_signed] {
        let server = Server::with(Version::HTTP_2, certificates).await;
        let fixture = fixture_with(&server, ("FOREBAY_CA_FILE", &server.ca_file())).await;
        server.permit_answers(1);
        assert_completed_at_first_attempt(&fixture, &submit(&fixture, 1).await).await;
    }
}

#[tokio::test]
async fn a_self_signed_ca_certificate_is_refused_and_the_error_shows_how_to_make_another() {
    let is_ca = true;
    let certificates = Certificates::self_signed(is_ca).expect("the certificate is made");
    let server = Server::with(Version::HTTP_2, certificates).await;
    let fixture = fixture_with(&server, ("FOREBAY_CA_FILE", &server.ca_file())).await;
    for job in wait_all(&fixture, &submit(&fixture, 1).await).await {
        assert_eq!(job["status"], "failed", "{job}");
        assert_eq!(job["error"]["code"], "connection_failed", "{job}");
        let message = job["error"]["message"].as_str().unwrap_or_default();
        for part in [
            "CaUsedAsEndEntity",
            "FOREBAY_CA_FILE",
            "openssl req -x509",
            "-addext basicConstraints=critical,CA:FALSE",
        ] {
            assert!(
                message.contains(part),
                "the error does not contain {part}: {job}"
            );
        }
    }
    assert_eq!(server.connections().count(), 0);
}

#[tokio::test]
async fn with_a_certificate_of_an_unknown_authority_the_connection_fails() {
    let server = Server::start(Version::HTTP_2).await;
    let other_authority = Certificates::new().expect("the certificates are made");
    let fixture = fixture(&server, &other_authority.ca_file().display().to_string()).await;
    for job in wait_all(&fixture, &submit(&fixture, 2).await).await {
        assert_eq!(job["status"], "failed", "{job}");
        assert_eq!(attempts_of(&job).len(), 3, "{job}");
        for attempt in attempts_of(&job) {
            let error = &attempt["error"];
            assert_eq!(error["code"], "connection_failed", "{job}");
            let message = error["message"].as_str().unwrap_or_default();
            assert!(
                message.ends_with("invalid peer certificate: UnknownIssuer"),
                "the error has another reason: {job}"
            );
            assert!(
                !message.contains(KEY) && !message.contains(PROMPT),
                "the error shows the key or the prompt: {job}"
            );
        }
    }
    let logs = fixture.forebay.logs();
    assert!(
        !logs.contains(KEY) && !logs.contains(PROMPT),
        "the log shows the key or the prompt: {logs}"
    );
    // No request was sent, because no handshake completed.
    assert_eq!(server.connections().count(), 0);
}

#[tokio::test]
async fn jobs_complete_after_a_restart_of_the_server_with_another_http_version() {
    let server = Server::start(Version::HTTP_2).await;
    let fixture = fixture(&server, &server.ca_file()).await;
    server.permit_answers(FEW_JOBS);
    let jobs = submit(&fixture, FEW_JOBS).await;
    assert_completed_at_first_attempt(&fixture, &jobs).await;

    for version in [Version::HTTP_11, Version::HTTP_2] {
        let cut_off = submit(&fixture, FEW_JOBS).await;
        server.wait_for_unanswered(FEW_JOBS).await;
        server.restart(version).await;
        server.wait_for_unanswered(FEW_JOBS).await;
        let later = submit(&fixture, FEW_JOBS).await;
        let connections = server.wait_for_unanswered(2 * FEW_JOBS).await;
        let is_new = |connection: &Connection| connection.version == version;
        assert!(
            connections.iter().all(is_new),
            "a connection has another version: {connections:?}"
        );
        server.permit_answers(2 * FEW_JOBS);
        completed_with_failures(&fixture, &later).await;
        for failures in completed_with_failures(&fixture, &cut_off).await {
            assert!(!failures.is_empty(), "a call that was cut off did not fail");
            let is_expected = |code: &Value| code == "connection_failed";
            assert!(
                failures.iter().all(is_expected),
                "an attempt failed for another reason: {failures:?}"
            );
        }
    }
}
