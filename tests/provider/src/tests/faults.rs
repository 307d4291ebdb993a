//! Each fault, as a client that reads plain bytes sees it.

use std::{io, time::Duration};

use super::{RawClient, TIMEOUT, post_openai, split_response};
use crate::{ProviderError, RequestOutcome, ScriptedLlm, ScriptedReply};

/// Starts a server with this reply, and sends a request to the server.
async fn request_with_reply(reply: ScriptedReply) -> (ScriptedLlm, RawClient) {
    let server = ScriptedLlm::start().await;
    server.queue_replies("fault", [reply]);
    let mut client = RawClient::connect(&server).await;
    client.send_request("fault").await;
    (server, client)
}

/// Waits until the first request has ended, and returns its outcome.
async fn outcome(server: &ScriptedLlm) -> RequestOutcome {
    let ended = |records: &[crate::Recorded]| !records[0].is_in_flight();
    server.wait_for("the end of the request", ended).await;
    let (outcome, _) = server.recorded()[0]
        .ended
        .clone()
        .expect("the request has ended");
    outcome
}

#[tokio::test]
async fn reset_resets_the_connection() {
    let (server, mut client) = request_with_reply(ScriptedReply::Reset).await;
    let error = client
        .read_to_end()
        .await
        .expect_err("the server resets the connection");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(
        outcome(&server).await,
        RequestOutcome::ConnectionBrokenByScript
    );
}

#[tokio::test]
async fn stall_sends_nothing_until_the_client_disconnects() {
    let (server, mut client) = request_with_reply(ScriptedReply::Stall).await;
    server.wait_for_requests(1).await;
    let silence = tokio::time::timeout(Duration::from_millis(100), client.read_to_end());
    assert!(silence.await.is_err(), "the server sent something");
    assert!(server.recorded()[0].is_in_flight());
    drop(client);
    assert_eq!(outcome(&server).await, RequestOutcome::ClientDisconnected);
}

#[tokio::test]
async fn stall_in_body_sends_the_head_and_half_the_body() {
    let (server, mut client) = request_with_reply(ScriptedReply::StallInBody).await;
    let body_has_begun = |text: &str| text.contains("\r\n\r\n{");
    let text = client
        .read_until(body_has_begun)
        .await
        .expect("the server sends a head");
    let (_, body, content_length) = split_response(&text);
    assert!(content_length > Some(body.len()));
    let silence = tokio::time::timeout(Duration::from_millis(100), client.read_to_end());
    assert!(silence.await.is_err(), "the response ended");
    drop(client);
    assert_eq!(outcome(&server).await, RequestOutcome::ClientDisconnected);
}

#[tokio::test]
async fn cut_off_closes_the_connection_without_a_reset_before_the_body_is_complete() {
    let (server, mut client) = request_with_reply(ScriptedReply::CutOff).await;
    let text = client
        .read_to_end()
        .await
        .expect("the server closes the connection without a reset");
    let (head, body, content_length) = split_response(&text);
    assert!(head.starts_with("HTTP/1.1 200 OK"));
    assert!(!body.is_empty());
    assert!(
        content_length > Some(body.len()),
        "the body is complete: {content_length:?}"
    );
    assert_eq!(
        outcome(&server).await,
        RequestOutcome::ConnectionBrokenByScript
    );
}

#[tokio::test]
async fn endless_sends_a_body_until_the_client_disconnects() {
    let reply = ScriptedReply::Endless {
        chunk_bytes: 100_000,
        pause: Duration::ZERO,
    };
    let (server, mut client) = request_with_reply(reply).await;
    let megabyte = |text: &str| text.len() > 1_000_000;
    let text = client
        .read_until(megabyte)
        .await
        .expect("the server sends a megabyte");
    assert!(text.contains("transfer-encoding: chunked"));
    assert!(text.len() > 1_000_000, "the body ended");
    assert!(server.recorded()[0].is_in_flight());
    drop(client);
    assert_eq!(outcome(&server).await, RequestOutcome::ClientDisconnected);
}

#[tokio::test]
async fn invalid_json_sends_a_complete_body_that_is_not_json() {
    let (server, mut client) = request_with_reply(ScriptedReply::InvalidJson).await;
    let is_complete = |text: &str| text.contains("oops");
    let text = client
        .read_until(is_complete)
        .await
        .expect("the server sends a response");
    let (_, body, content_length) = split_response(&text);
    assert_eq!(content_length, Some(body.len()));
    serde_json::from_str::<serde_json::Value>(body).expect_err("the body is not JSON");
    assert_eq!(outcome(&server).await, RequestOutcome::Answered(200));
}

#[tokio::test]
async fn status_sends_its_status_headers_and_body() {
    let reply = ScriptedReply::Status {
        code: 503,
        headers: vec![("retry-after".to_owned(), "7".to_owned())],
        body: "<html>busy".to_owned(),
    };
    let (server, mut client) = request_with_reply(reply).await;
    let is_complete = |text: &str| text.ends_with("busy");
    let text = client
        .read_until(is_complete)
        .await
        .expect("the server sends a response");
    assert!(text.starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
    assert!(text.contains("\r\nretry-after: 7\r\n"));
    assert_eq!(outcome(&server).await, RequestOutcome::Answered(503));
}

#[tokio::test]
async fn errors_have_the_format_of_openai() {
    let server = ScriptedLlm::start().await;
    let errors = [
        ProviderError::insufficient_quota(),
        ProviderError::context_length_exceeded(),
        ProviderError::server_error(),
    ];
    server.queue_replies("e", errors.map(ScriptedReply::from));
    let (status, body) = post_openai(&server, &super::openai_body_of("e")).await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (429, &"insufficient_quota".into())
    );
    let (status, body) = post_openai(&server, &super::openai_body_of("e")).await;
    let code = &body["error"]["code"];
    assert_eq!((status, code), (400, &"context_length_exceeded".into()));
    let (status, body) = post_openai(&server, &super::openai_body_of("e")).await;
    assert_eq!(
        (status, &body["error"]["type"]),
        (500, &"server_error".into())
    );
}

#[tokio::test]
async fn a_client_that_disconnects_while_its_request_waits_at_a_gate_is_recorded() {
    let server = ScriptedLlm::start().await;
    let _gate = server.gate_all_requests();
    let mut client = RawClient::connect(&server).await;
    client.send_request("x").await;
    server.wait_for_requests(1).await;
    assert_eq!(server.stats().in_flight, 1);
    drop(client);
    assert_eq!(outcome(&server).await, RequestOutcome::ClientDisconnected);
    assert_eq!(server.stats().in_flight, 0);
}

#[tokio::test]
async fn dropping_the_server_closes_its_connections_and_its_port() {
    let (server, mut client) = request_with_reply(ScriptedReply::Stall).await;
    server.wait_for_requests(1).await;
    let address = server.address();
    drop(server);
    // The read returns only if the connection is closed.
    let _ = client.read_to_end().await;
    let refused = async {
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(TIMEOUT, refused)
        .await
        .expect("the port is closed");
}
