//! Each fault, as a client sees it that reads plain bytes.

use std::{io, time::Duration};

use super::{LIMIT, Raw, post_openai, split};
use crate::{Outcome, ProviderError, ScriptedLlm, ScriptedReply};

async fn scripted(reply: ScriptedReply) -> (ScriptedLlm, Raw) {
    let server = ScriptedLlm::start().await;
    server.on("fault", [reply]);
    let mut client = Raw::connect(&server).await;
    client.ask("fault").await;
    (server, client)
}

async fn outcome(server: &ScriptedLlm) -> Outcome {
    let ended = |records: &[crate::Recorded]| !records[0].is_in_flight();
    server.wait_for("the end of the request", ended).await;
    let (outcome, _) = server.recorded()[0].ended.clone().expect("an end");
    outcome
}

#[tokio::test]
async fn a_reset_is_a_reset() {
    let (server, mut client) = scripted(ScriptedReply::Reset).await;
    let error = client.read_to_end().await.expect_err("no orderly end");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert_eq!(outcome(&server).await, Outcome::Broken);
}

#[tokio::test]
async fn a_stall_sends_nothing_until_the_client_hangs_up() {
    let (server, mut client) = scripted(ScriptedReply::Stall).await;
    server.wait_for_requests(1).await;
    let silence = tokio::time::timeout(Duration::from_millis(100), client.read_to_end());
    assert!(silence.await.is_err(), "something came");
    assert!(server.recorded()[0].is_in_flight());
    drop(client);
    assert_eq!(outcome(&server).await, Outcome::HungUp);
}

#[tokio::test]
async fn a_stall_in_the_body_comes_after_the_head_and_half_the_body() {
    let (server, mut client) = scripted(ScriptedReply::StallInBody).await;
    let whole_head = |text: &str| text.contains("\r\n\r\n{");
    let text = client.read_until(whole_head).await.expect("a head");
    assert!(split(&text).2 > Some(split(&text).1.len()));
    let silence = tokio::time::timeout(Duration::from_millis(100), client.read_to_end());
    assert!(silence.await.is_err(), "it ended");
    drop(client);
    assert_eq!(outcome(&server).await, Outcome::HungUp);
}

#[tokio::test]
async fn a_body_that_is_cut_off_ends_in_order_before_its_length() {
    let (server, mut client) = scripted(ScriptedReply::CutOff).await;
    let text = client.read_to_end().await.expect("an orderly end");
    let (head, body, length) = split(&text);
    assert!(head.starts_with("HTTP/1.1 200 OK"));
    assert!(!body.is_empty());
    assert!(length > Some(body.len()), "{length:?}");
    assert_eq!(outcome(&server).await, Outcome::Broken);
}

#[tokio::test]
async fn an_endless_body_goes_on_until_the_client_hangs_up() {
    let reply = ScriptedReply::Endless {
        chunk_bytes: 100_000,
        pause: Duration::ZERO,
    };
    let (server, mut client) = scripted(reply).await;
    let much = |text: &str| text.len() > 1_000_000;
    let text = client.read_until(much).await.expect("much");
    assert!(text.contains("transfer-encoding: chunked"));
    assert!(text.len() > 1_000_000, "it ended");
    assert!(server.recorded()[0].is_in_flight());
    drop(client);
    assert_eq!(outcome(&server).await, Outcome::HungUp);
}

#[tokio::test]
async fn invalid_json_is_complete() {
    let (server, mut client) = scripted(ScriptedReply::InvalidJson).await;
    let whole = |text: &str| text.contains("oops");
    let text = client.read_until(whole).await.expect("a reply");
    let (_, body, length) = split(&text);
    assert_eq!(length, Some(body.len()));
    serde_json::from_str::<serde_json::Value>(body).expect_err("no JSON");
    assert_eq!(outcome(&server).await, Outcome::Answered(200));
}

#[tokio::test]
async fn a_status_comes_with_its_headers_and_body() {
    let reply = ScriptedReply::Status {
        code: 503,
        headers: vec![("retry-after".to_owned(), "7".to_owned())],
        body: "<html>busy".to_owned(),
    };
    let (server, mut client) = scripted(reply).await;
    let whole = |text: &str| text.ends_with("busy");
    let text = client.read_until(whole).await.expect("a reply");
    assert!(text.starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
    assert!(text.contains("\r\nretry-after: 7\r\n"));
    assert_eq!(outcome(&server).await, Outcome::Answered(503));
}

#[tokio::test]
async fn errors_have_the_form_of_the_service() {
    let server = ScriptedLlm::start().await;
    let errors = [
        ProviderError::insufficient_quota(),
        ProviderError::context_length_exceeded(),
        ProviderError::server_error(),
    ];
    server.on("e", errors.map(ScriptedReply::from));
    let (status, body) = post_openai(&server, &super::ask("e")).await;
    assert_eq!(
        (status, &body["error"]["code"]),
        (429, &"insufficient_quota".into())
    );
    let (status, body) = post_openai(&server, &super::ask("e")).await;
    let code = &body["error"]["code"];
    assert_eq!((status, code), (400, &"context_length_exceeded".into()));
    let (status, body) = post_openai(&server, &super::ask("e")).await;
    assert_eq!(
        (status, &body["error"]["type"]),
        (500, &"server_error".into())
    );
}

#[tokio::test]
async fn a_client_that_hangs_up_at_a_gate_is_recorded() {
    let server = ScriptedLlm::start().await;
    let _gate = server.hold();
    let mut client = Raw::connect(&server).await;
    client.ask("x").await;
    server.wait_for_requests(1).await;
    assert_eq!(server.stats().in_flight, 1);
    drop(client);
    assert_eq!(outcome(&server).await, Outcome::HungUp);
    assert_eq!(server.stats().in_flight, 0);
}

#[tokio::test]
async fn dropping_the_server_closes_its_connections_and_its_port() {
    let (server, mut client) = scripted(ScriptedReply::Stall).await;
    server.wait_for_requests(1).await;
    let address = server.address();
    drop(server);
    let _ = client.read_to_end().await;
    let refused = async {
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LIMIT, refused).await.expect("refused");
}
