//! Bodies that are not JSON, are too large, or have another media type. Also bytes that are not HTTP.

use std::time::Duration;

use e2e::client::{Answer, Client};
use reqwest::Body;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{NEVER_STORED, answer_of, assert_nothing_stored_or_called, expect_problem, post};
use crate::fixture::Fixture;

const MIB: usize = 1024 * 1024;

#[tokio::test]
async fn a_body_that_is_not_json_or_nested_too_deeply_is_answered_with_400() {
    let fixture = Fixture::start().await;
    // In these bodies, `never` is `NEVER_STORED`. At most 127 levels are allowed.
    let nested = |open: &str, close: &str| {
        let (open, close) = (open.repeat(200), close.repeat(200));
        format!(r#"{{"session_id": "never", "input": {open}1{close}}}"#)
    };
    for body in [
        String::new(),
        String::from("hi"),
        String::from("{"),
        String::from(r#"{"session_id": "never", "input": "hi""#),
        String::from(r#"{"session_id": "never", "input": "hi"} x"#),
        String::from(r#"{'session_id': 'never', 'input': 'hi'}"#),
        String::from("{\"session_id\": \"never\", \"input\": \"a\nb\"}"),
        nested("[", "]"),
        nested(r#"{"x":"#, "}"),
        "[".repeat(100_000),
    ] {
        let input: String = body.chars().take(60).collect();
        expect_problem(
            &input,
            post(&fixture.client, body).await,
            400,
            "invalid_json",
        );
    }
    let not_utf8 = b"{\"session_id\": \"never\", \"input\": \"\xff\xfe\"}".to_vec();
    expect_problem(
        "not UTF-8",
        post(&fixture.client, not_utf8).await,
        400,
        "invalid_json",
    );
    assert_nothing_stored_or_called(&fixture).await;
}

#[tokio::test]
async fn another_media_type_is_answered_with_415() {
    let fixture = Fixture::start().await;
    let request = fixture
        .client
        .http()
        .post(fixture.client.url_of("/v1/jobs"));
    let body = json!({ "session_id": NEVER_STORED, "input": "hi" }).to_string();
    let response = request.header("content-type", "text/plain").body(body);
    let response = response.send().await.expect("the gateway answers");
    assert_eq!(response.status(), 415);
    assert_nothing_stored_or_called(&fixture).await;
}

#[tokio::test]
async fn a_body_that_is_too_large_is_answered_with_413_with_and_without_a_content_length() {
    let fixture = Fixture::start().await;
    let job = json!({ "session_id": NEVER_STORED, "input": "x".repeat(11 * MIB) }).to_string();
    let answer = post_too_large(&fixture.client, || job.clone().into()).await;
    expect_problem("content-length", answer, 413, "body_too_large");
    // Without a content length the body is sent in chunks.
    let bytes = job.into_bytes();
    let body = || {
        let chunks = bytes.chunks(64 * 1024).map(<[u8]>::to_vec);
        let chunks = chunks.map(Ok::<_, std::io::Error>).collect::<Vec<_>>();
        Body::wrap_stream(futures_util::stream::iter(chunks))
    };
    let answer = post_too_large(&fixture.client, body).await;
    expect_problem("chunked", answer, 413, "body_too_large");
    // These requests have a content length but no body.
    for length in ["11534336", "9999999999999999999"] {
        let head = format!(
            "POST /v1/jobs HTTP/1.1\r\nhost: localhost\r\ncontent-length: {length}\r\nexpect: 100-continue\r\n\r\n"
        );
        let answer = send_raw(&fixture, head.as_bytes()).await;
        assert!(
            answer.starts_with("HTTP/1.1 413 "),
            "with the length {length}, the answer is not 413: {answer}"
        );
    }
    assert_nothing_stored_or_called(&fixture).await;
    // A body slightly below the limit is accepted.
    let fits = json!({ "session_id": "large", "input": "x".repeat(9 * MIB) });
    let id = fixture.submit(&fits).await;
    fixture.completed_text(&id).await;
}

#[tokio::test]
async fn bytes_that_are_not_http_are_answered_with_a_4xx_and_the_gateway_continues() {
    let fixture = Fixture::start().await;
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET /v1/jobs/a\x00b HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"GET /v1/jobs/a b HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"POST /v1/jobs HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/jobs HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ] {
        let answer = send_raw(&fixture, bytes).await;
        let is_refused = answer.starts_with("HTTP/1.1 4");
        assert!(is_refused, "the bytes {bytes:?} were not refused: {answer}");
    }
    assert_nothing_stored_or_called(&fixture).await;
}

/// Submits a body that is too large. The gateway reads the rest of such a body for a bounded time only, so the
/// connection may end before the client has the answer. Then the submit is repeated.
async fn post_too_large(client: &Client, body: impl Fn() -> Body) -> Answer {
    for _ in 0..100 {
        let request = client.http().post(client.url_of("/v1/jobs")).body(body());
        let request = request.header("content-type", "application/json");
        if let Ok(response) = request.send().await {
            return answer_of(response).await;
        }
    }
    panic!("the gateway answered none of 100 submits");
}

/// Sends these bytes over TCP. Returns all bytes that the gateway sends before it closes the connection.
async fn send_raw(fixture: &Fixture, bytes: &[u8]) -> String {
    let address = fixture.client.url_of("").replace("http://", "");
    let mut stream = TcpStream::connect(address)
        .await
        .expect("the gateway accepts the connection");
    stream.write_all(bytes).await.expect("the bytes are sent");
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let read = tokio::time::timeout(Duration::from_secs(60), read).await;
    // A reset after the answer also ends the read.
    let _ = read.expect("the gateway closes the connection in time");
    String::from_utf8_lossy(&answer).into_owned()
}
