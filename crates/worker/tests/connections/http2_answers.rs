//! Unusual but permitted answers over HTTP/2, and broken connections.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use forebay_worker::provider::{Retry, openai::OpenAi};
use scripted_provider::http_server::Reason;
use tokio::net::TcpListener;

use crate::{
    ask, ask_with_prompt_of,
    frames::Frames,
    http2_provider,
    server::{Server, answer, cut_off, reply, reset_by_client},
};

/// The headers are as long as in the test of HTTP/1.1.
#[tokio::test]
async fn long_headers_are_read() {
    let mut server = Server::start(100).await;
    let provider = Arc::new(http2_provider(&server.base_url));
    let call = tokio::spawn(async move { ask(&provider).await });
    let mut response = reply();
    for _ in 0..60 {
        response = response.with_header("x-long", &"x".repeat(500));
    }
    assert!(server.request().await.answer(&response).await);
    call.await
        .expect("the task does not panic")
        .expect("the call succeeds");
}

#[tokio::test]
async fn interim_answers_are_skipped() {
    let mut server = Server::start(100).await;
    let provider = Arc::new(http2_provider(&server.base_url));
    let call = tokio::spawn(async move { ask(&provider).await });
    let mut request = server.request().await;
    for status in [100, 103] {
        assert!(request.send_interim(status).await);
    }
    answer(request).await;
    call.await
        .expect("the task does not panic")
        .expect("the call succeeds");
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_request_is_accepted_and_releases_its_stream() {
    let mut server = Server::start_without_reading_bodies(1).await;
    let provider = Arc::new(http2_provider(&server.base_url));
    for _ in 0..2 {
        let provider = Arc::clone(&provider);
        // The prompt is longer than the flow-control window (RFC 9113, section 6.9.2), so the client cannot send the
        // whole request.
        let prompt_bytes = 1_024 * 1_024;
        let call = tokio::spawn(async move { ask_with_prompt_of(&provider, prompt_bytes).await });
        answer(server.request().await).await;
        call.await
            .expect("the task does not panic")
            .expect("the call succeeds");
    }
    assert_eq!(server.connections().count(), 1);
}

/// The server permits one stream, so a call that kept its stream would block the next call.
#[tokio::test]
async fn a_call_releases_its_stream_however_it_ends() {
    let mut server = Server::start(1).await;
    let provider = Arc::new(http2_provider(&server.base_url));
    for round in 0..8 {
        let provider = Arc::clone(&provider);
        let call = tokio::spawn(async move { ask(&provider).await });
        let request = server.request().await;
        match round % 4 {
            0 => {
                call.abort();
                assert_eq!(reset_by_client(request).await, Reason::CANCEL);
                continue;
            }
            1 => request.reset(Reason::INTERNAL_ERROR),
            2 => cut_off(request).await,
            _ => answer(request).await,
        }
        let result = call.await.expect("the task does not panic");
        if let Err(failure) = &result {
            assert_eq!(failure.error.code, "connection_failed");
            assert_eq!(failure.retry, Retry::Backoff, "failure: {failure}");
        }
        assert_eq!(result.is_ok(), round % 4 == 3, "round {round}: {result:?}");
    }
    assert_eq!(server.connections().count(), 1);
}

/// A request that the server may have begun is not sent again, even if the server has announced the end of the connection.
/// After a GOAWAY with an error, the server may be overloaded. So no request is sent again immediately: the call fails, and
/// the next try comes after a backoff.
#[tokio::test]
async fn only_a_request_that_was_not_begun_is_sent_again_when_a_connection_ends_without_an_error() {
    for (has_begun, reason, is_sent_again) in [
        (false, Reason::NO_ERROR, true),
        (true, Reason::NO_ERROR, false),
        (false, Reason::ENHANCE_YOUR_CALM, false),
    ] {
        let (listener, provider) = listener_and_provider().await;
        let mut call = tokio::spawn(async move { ask(&provider).await });
        let (stream, _) = listener.accept().await.expect("a client connects");
        let mut frames = Frames::accept(stream).await;
        frames.read_request().await;
        frames.go_away(has_begun, reason).await;
        drop(frames);
        let case = format!("begun: {has_begun}, reason: {reason:?}");
        tokio::select! {
            accepted = listener.accept() => {
                accepted.expect("a client connects");
                assert!(is_sent_again, "case: {case}");
            }
            failure = &mut call => {
                let failure = failure
                    .expect("the task does not panic")
                    .expect_err("the call fails");
                assert!(!is_sent_again, "{case} {failure}");
                assert_eq!(failure.error.code, "connection_failed", "case: {case}");
                assert_eq!(failure.retry, Retry::Backoff, "{case} {failure}");
            }
        }
        call.abort();
    }
}

/// A server that restarts may end each connection at once. The call fails after a few connections, so that the retry comes
/// after a pause.
#[tokio::test]
async fn a_call_fails_if_the_server_ends_each_connection_at_once() {
    for sends_settings in [true, false] {
        let (listener, provider) = listener_and_provider().await;
        let call = tokio::spawn(async move { ask(&provider).await });
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let frames = Frames::accept(stream).await;
                frames.go_away_at_once(sends_settings).await;
            }
        });
        let failure = call
            .await
            .expect("the task does not panic")
            .expect_err("the call fails");
        server.abort();
        let connections = connections.load(Ordering::SeqCst);
        assert_eq!(
            failure.error.code, "connection_failed",
            "failure: {failure}"
        );
        assert_eq!(failure.retry, Retry::Backoff, "failure: {failure}");
        assert!(connections <= 5, "{connections} connections for one call");
    }
}

async fn listener_and_provider() -> (TcpListener, OpenAi) {
    let listener = TcpListener::bind("127.0.0.1:0")
        .await
        .expect("the port opens");
    let address = listener.local_addr().expect("the address is valid");
    let provider = http2_provider(&format!("http://{address}/v1"));
    (listener, provider)
}
