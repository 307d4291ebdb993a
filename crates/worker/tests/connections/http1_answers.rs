//! Unusual but permitted answers over HTTP/1.1, and broken ones.

use std::sync::Arc;

use forebay_worker::provider::{Answer, Failure, Retry, openai::OpenAi};
use tokio::task::JoinHandle;

use crate::{REPLY, ask, ask_with_prompt_of, peer::Port};

fn call(provider: &Arc<OpenAi>) -> JoinHandle<Result<Answer, Failure>> {
    let provider = Arc::clone(provider);
    tokio::spawn(async move { ask(&provider).await })
}

async fn port_and_provider() -> (Port, Arc<OpenAi>) {
    let (port, provider) = Port::open_with_provider("127.0.0.1").await;
    (port, Arc::new(provider))
}

#[tokio::test]
async fn long_headers_are_read() {
    let (port, provider) = port_and_provider().await;
    let call = call(&provider);
    let mut peer = port.accept().await;
    peer.read_request().await;
    let long = format!("x-long: {}\r\n", "x".repeat(500));
    peer.answer(&long.repeat(60)).await;
    call.await
        .expect("the task does not panic")
        .expect("the call succeeds");
}

#[tokio::test]
async fn a_compressed_answer_fails_the_job_without_another_try() {
    let (port, provider) = port_and_provider().await;
    for (header, is_read) in [
        ("content-encoding: identity\r\n", true),
        ("content-encoding: gzip\r\n", false),
    ] {
        let call = call(&provider);
        let mut peer = port.accept().await;
        let header_text = peer.read_request().await;
        assert!(
            header_text.contains("\r\naccept-encoding: identity"),
            "request: {header_text}"
        );
        for name in ["host", "content-length"] {
            assert_eq!(
                header_text.matches(&format!("\r\n{name}: ")).count(),
                1,
                "request: {header_text}"
            );
        }
        peer.answer(&format!("connection: close\r\n{header}")).await;
        match call.await.expect("the task does not panic") {
            Ok(_) => assert!(is_read),
            Err(failure) => {
                assert!(
                    !is_read && failure.error.message.contains("gzip"),
                    "failure: {failure}"
                );
                assert_eq!(failure.error.code, "invalid_response");
                assert_eq!(failure.retry, Retry::Never);
            }
        }
    }
}

#[tokio::test]
async fn interim_answers_are_skipped() {
    let (port, provider) = port_and_provider().await;
    let call = call(&provider);
    let mut peer = port.accept().await;
    peer.read_request().await;
    peer.write("HTTP/1.1 100 Continue\r\n\r\n").await;
    peer.write("HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n")
        .await;
    peer.answer("").await;
    call.await
        .expect("the task does not panic")
        .expect("the call succeeds");
}

#[tokio::test]
async fn an_answer_without_a_length_ends_with_its_connection() {
    let (port, provider) = port_and_provider().await;
    let first = call(&provider);
    let mut peer = port.accept().await;
    peer.read_request().await;
    peer.write(&format!("HTTP/1.1 200 OK\r\n\r\n{REPLY}")).await;
    drop(peer);
    first
        .await
        .expect("the task does not panic")
        .expect("the call succeeds");

    let second = call(&provider);
    let mut peer = port.accept().await;
    peer.read_request().await;
    peer.answer("").await;
    second
        .await
        .expect("the task does not panic")
        .expect("the call succeeds");
}

#[tokio::test]
async fn a_connection_that_the_server_closes_after_an_answer_is_not_reused() {
    let (port, provider) = port_and_provider().await;
    for _ in 0..2 {
        let call = call(&provider);
        let mut peer = port.accept().await;
        peer.read_request().await;
        peer.answer("connection: close\r\n").await;
        call.await
            .expect("the task does not panic")
            .expect("the call succeeds");
        peer.wait_until_closed().await;
    }
}

#[tokio::test]
async fn bytes_after_an_answer_are_not_read_as_the_next_answer() {
    let (port, provider) = port_and_provider().await;
    let first = call(&provider);
    let mut peer = port.accept().await;
    peer.read_request().await;
    let length = REPLY.len();
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{REPLY}");
    let other = answer.replace("hi", "no");
    peer.write(&format!("{answer}{other}")).await;
    first
        .await
        .expect("the task does not panic")
        .expect("the call succeeds");

    let second = call(&provider);
    let mut peer = port.accept().await;
    peer.read_request().await;
    peer.answer("").await;
    let answer = second
        .await
        .expect("the task does not panic")
        .expect("the call succeeds");
    assert_eq!(answer.text().as_deref(), Some("hi"));
}

#[tokio::test]
async fn a_call_whose_answer_is_cut_off_fails_and_may_be_tried_again() {
    let (port, provider) = port_and_provider().await;
    let call = call(&provider);
    let mut peer = port.accept().await;
    peer.read_request().await;
    peer.write(&format!(
        "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{REPLY}"
    ))
    .await;
    drop(peer);
    let failure = call
        .await
        .expect("the task does not panic")
        .expect_err("the answer is cut off");
    assert_eq!(failure.error.code, "connection_failed");
    assert_eq!(failure.retry, Retry::Backoff);
}

#[tokio::test]
async fn a_connection_whose_answer_was_not_read_to_its_end_is_closed() {
    let (port, provider) = port_and_provider().await;
    let call = call(&provider);
    let mut peer = port.accept().await;
    peer.read_request().await;
    let body = "x".repeat(100 * 1_024);
    peer.write(&format!(
        "HTTP/1.1 500 No\r\ncontent-length: 1000000\r\n\r\n{body}"
    ))
    .await;
    let failure = call
        .await
        .expect("the task does not panic")
        .expect_err("the call fails");
    assert_eq!(failure.error.code, "provider_error");
    peer.wait_until_closed().await;
}

/// A server that answers before the end of the request should close the connection (RFC 9112, section 9.3). If it does
/// not, the next call must not wait.
#[tokio::test]
async fn an_answer_before_the_end_of_the_request_is_accepted_and_does_not_delay_the_next_call() {
    let (port, provider) = port_and_provider().await;
    let long_call = {
        let provider = Arc::clone(&provider);
        let prompt_bytes = 16 * 1_024 * 1_024;
        tokio::spawn(async move { ask_with_prompt_of(&provider, prompt_bytes).await })
    };
    let mut peer_of_long_call = port.accept().await;
    peer_of_long_call.read_byte().await;
    peer_of_long_call.answer("").await;
    long_call
        .await
        .expect("the task does not panic")
        .expect("the call succeeds");

    let next = call(&provider);
    let mut peer = port.accept().await;
    peer.read_request().await;
    peer.answer("").await;
    next.await
        .expect("the task does not panic")
        .expect("the call succeeds");
}

#[tokio::test]
async fn a_host_may_be_an_ipv6_address() {
    let (port, provider) = Port::open_with_provider("[::1]").await;
    let call = call(&Arc::new(provider));
    let mut peer = port.accept().await;
    peer.read_request().await;
    peer.answer("").await;
    call.await
        .expect("the task does not panic")
        .expect("the call succeeds");
}
