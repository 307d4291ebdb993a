//! The OpenAI-compatible provider over real HTTP: its requests, its answers and its errors.

mod provider_server;

use std::time::Duration;

use forebay_shared::{
    job::{FinishReason, Request},
    secret::Secret,
    turn::{Role, Turn},
};
use forebay_worker::provider::{
    Fault, Retry,
    http::{Endpoint, HttpSettings},
    openai::{OpenAi, OpenAiSettings},
};
use provider_server::{
    Ending, Exceeds, FaultCase, SHORT_MS, Server, ServerEvent, answer, ask, ask_with,
    http_settings, transport_faults,
};
use serde_json::{Value, json};

const KEY: &str = "sk-never-shown-1234";

fn provider(base_url: &str, http: HttpSettings) -> OpenAi {
    OpenAi::new(OpenAiSettings {
        name: String::from("openai"),
        base_url: Endpoint::parse(base_url).expect("the URL is valid"),
        key: Some(Secret::new(KEY)),
        max_tokens_field: None,
        headers: vec![(
            http::HeaderName::from_static("x-team"),
            Secret::new("search-team"),
        )],
        http,
    })
    .expect("the provider is created")
}

fn reply(message: &Value, finish_reason: &str) -> String {
    let choice = json!({"index": 0, "message": message, "finish_reason": finish_reason});
    answer(
        200,
        "",
        &json!({"id": "r", "choices": [choice]}).to_string(),
    )
}

fn error(status: u16, headers: &str, code: &str, message: &str) -> String {
    let error = json!({"error": {"message": message, "type": "x", "code": code}});
    answer(status, headers, &error.to_string())
}

fn faults() -> Vec<FaultCase> {
    let case = |name, bytes: String, code, retry| FaultCase {
        name,
        bytes,
        ending: Ending::Close,
        code,
        retry,
        exceeds: Exceeds::Nothing,
    };
    let mut cases = transport_faults();
    cases.extend([
        case(
            "400",
            error(400, "", "bad", "no"),
            "invalid_request",
            Retry::Never,
        ),
        case(
            "400 for a context that is too long",
            error(400, "", "context_length_exceeded", "no"),
            "context_length_exceeded",
            Retry::LessContext,
        ),
        case(
            "401",
            error(401, "", "invalid_api_key", "no"),
            "authentication_failed",
            Retry::Never,
        ),
        case(
            "403",
            error(403, "", "x", "no"),
            "authentication_failed",
            Retry::Never,
        ),
        case(
            "404",
            error(404, "", "model_not_found", "no"),
            "model_not_found",
            Retry::Never,
        ),
        case(
            "413",
            error(413, "", "x", "no"),
            "invalid_request",
            Retry::Never,
        ),
        case(
            "422",
            error(422, "", "x", "no"),
            "invalid_request",
            Retry::Never,
        ),
        case(
            "429",
            error(429, "", "x", "no"),
            "rate_limited",
            Retry::Backoff,
        ),
        case(
            "429 with Retry-After",
            error(429, "retry-after: 7\r\n", "rate_limit_exceeded", "no"),
            "rate_limited",
            Retry::AfterMs(7_000),
        ),
        case(
            "429 insufficient_quota",
            error(429, "retry-after: 7\r\n", "insufficient_quota", "no"),
            "insufficient_quota",
            Retry::Never,
        ),
        case(
            "500",
            error(500, "", "x", "no"),
            "provider_error",
            Retry::Backoff,
        ),
        case(
            "a compressed 500",
            answer(500, "content-encoding: gzip\r\n", "?"),
            "provider_error",
            Retry::Backoff,
        ),
        case(
            "503 with Retry-After",
            error(503, "retry-after: 2\r\n", "x", "no"),
            "provider_error",
            Retry::AfterMs(2_000),
        ),
        case(
            "200 with an error",
            answer(
                200,
                "",
                &json!({"error": {"code": 429, "message": "no"}}).to_string(),
            ),
            "rate_limited",
            Retry::Backoff,
        ),
        case(
            "no choices",
            answer(200, "", "{\"choices\": []}"),
            "empty_response",
            Retry::Backoff,
        ),
        case(
            "an empty choice",
            reply(&json!({"content": ""}), "stop"),
            "empty_response",
            Retry::Backoff,
        ),
        case(
            "JSON of another form",
            answer(200, "", "[1]"),
            "invalid_response",
            Retry::Backoff,
        ),
    ]);
    cases
}

#[tokio::test]
async fn each_fault_has_a_code_and_a_retry() {
    for case in faults() {
        let server = Server::start(case.bytes.clone(), case.ending).await;
        let provider = provider(&server.base_url, case.http_settings());
        let failure = case.failure(&provider).await;
        assert_eq!(
            (failure.error.code.as_str(), failure.retry),
            (case.code, case.retry),
            "{}: {failure}",
            case.name
        );
        assert!(
            !failure.error.message.contains("hello"),
            "the failure shows the prompt: {failure}"
        );
    }
}

#[tokio::test]
async fn a_call_to_a_port_without_a_listener_fails() {
    let server = Server::start("", Ending::Close).await;
    let base_url = server.base_url.clone();
    drop(server);
    let failure = ask(&provider(&base_url, http_settings()))
        .await
        .expect_err("no server listens");
    assert_eq!(failure.error.code, "connection_failed");
    assert_eq!(failure.retry, Retry::Backoff);
    assert!(!failure.is_answer);
}

#[tokio::test]
async fn a_call_to_a_server_that_does_not_accept_the_connection_times_out() {
    let socket = tokio::net::TcpSocket::new_v4().expect("the socket is created");
    socket
        .bind("127.0.0.1:0".parse().expect("the address is valid"))
        .expect("the port opens");
    let listener = socket.listen(1).expect("the socket listens");
    let address = listener.local_addr().expect("the address is valid");
    // Fills the listener's backlog until the kernel accepts no more connections.
    let mut waiting = Vec::new();
    while let Ok(stream) = tokio::time::timeout(
        Duration::from_millis(100),
        tokio::net::TcpStream::connect(address),
    )
    .await
    {
        waiting.push(stream.expect("a client connects"));
        assert!(waiting.len() < 1_000, "the backlog never fills");
    }
    let mut http = http_settings();
    http.limits.connect_ms = SHORT_MS;
    let provider = provider(&format!("http://{address}/v1"), http);
    let failure = ask(&provider).await.expect_err("the call fails");
    assert_eq!(failure.error.code, "provider_timeout");
    assert_eq!(failure.fault, Fault::Unavailable);
    assert!(
        failure.error.message.contains("no connection"),
        "failure: {failure}"
    );
}

#[tokio::test]
async fn a_call_sends_the_request_and_reads_the_reply() {
    let mut server = Server::start(reply(&json!({"content": "hi"}), "stop"), Ending::Close).await;
    let provider = provider(&server.base_url, http_settings());
    let request = Request {
        max_output_tokens: Some(9),
        ..Request::default()
    };
    let turns = [Turn::text(Role::User, "hello")];
    let answer = ask_with(&provider, &request, &turns)
        .await
        .expect("the provider answers");
    assert_eq!(answer.text().as_deref(), Some("hi"));
    let sent = server.request().await;
    assert!(
        sent.header_text
            .starts_with("post /v1/chat/completions http/1.1"),
        "{}",
        sent.header_text
    );
    assert!(
        sent.header_text
            .contains(&format!("authorization: bearer {KEY}"))
    );
    assert!(sent.header_text.contains("x-team: search-team"));
    assert_eq!(
        sent.body,
        json!({
            "model": "gemini-2.5-flash",
            "messages": [{"role": "user", "content": "hello"}],
            "stream": false,
            "max_tokens": 9
        })
    );
}

#[tokio::test]
async fn a_reply_that_ends_at_the_token_limit_or_content_filter_is_no_failure() {
    for (reason, expected) in [
        ("length", FinishReason::Length),
        ("content_filter", FinishReason::ContentFilter),
    ] {
        for content in [json!("part"), Value::Null] {
            let bytes = reply(&json!({"content": content}), reason);
            let server = Server::start(bytes, Ending::Close).await;
            let answer = ask(&provider(&server.base_url, http_settings()))
                .await
                .expect("the provider answers");
            assert_eq!(answer.finish_reason, expected);
            assert_eq!(answer.text().as_deref(), content.as_str());
        }
    }
}

#[tokio::test]
async fn an_error_does_not_show_secrets() {
    let message = format!("no such key: {KEY}, team search-team");
    let server = Server::start(error(401, "", "invalid_api_key", &message), Ending::Close).await;
    let failure = ask(&provider(&server.base_url, http_settings()))
        .await
        .expect_err("the request is refused");
    assert_eq!(
        failure.error.message,
        "the provider answered 401: no such key: [redacted], team [redacted]"
    );
}

#[tokio::test]
async fn no_part_of_a_secret_is_in_a_shortened_error() {
    let text = |bytes: usize| format!("{} Bearer {KEY}, again", "x".repeat(bytes));
    // Texts are cut after 200 characters or 800 bytes, and messages after 1,000 bytes. The key lies across each of these ends.
    for bytes in (170..200).chain(770..800).chain(960..1_000) {
        for answer in [
            answer(400, "", &text(bytes)),
            answer(400, "", &format!("<p>{}</p>", text(bytes))),
            error(400, "", "x", &text(bytes)),
            answer(200, "", &json!({"msg": text(bytes)}).to_string()),
            answer(307, &format!("location: /{}\r\n", text(bytes)), ""),
        ] {
            let server = Server::start(answer, Ending::Close).await;
            let failure = ask(&provider(&server.base_url, http_settings()))
                .await
                .expect_err("the request is refused");
            let message = failure.error.message;
            assert!(!message.contains(&KEY[..6]), "{bytes} bytes: {message}");
        }
    }
}

#[tokio::test]
async fn a_redirect_and_an_error_within_a_success_show_no_secrets() {
    let server = Server::start(
        answer(308, "location: https://ann:pass@x.example/v2?key=x\r\n", ""),
        Ending::Close,
    )
    .await;
    let failure = ask(&provider(&server.base_url, http_settings()))
        .await
        .expect_err("redirects are not followed");
    let message = failure.error.message;
    assert!(message.contains("https://x.example/v2:"), "{message}");
    assert!(!message.contains("pass"), "{message}");

    let body = json!({"error": {"code": 503, "message": format!("bad key {KEY}")}});
    let server = Server::start(
        answer(200, "retry-after: 2\r\n", &body.to_string()),
        Ending::Close,
    )
    .await;
    let failure = ask(&provider(&server.base_url, http_settings()))
        .await
        .expect_err("the body has an error");
    assert_eq!(failure.retry, Retry::AfterMs(2_000));
    assert_eq!(
        failure.error.message,
        "the provider answered 503: bad key [redacted]"
    );
}

#[tokio::test]
async fn only_the_start_of_an_endless_error_is_read() {
    let bytes = "HTTP/1.1 500 x\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut server = Server::start(bytes, Ending::Endless).await;
    let failure = ask(&provider(&server.base_url, http_settings()))
        .await
        .expect_err("the call fails");
    assert_eq!(failure.error.code, "provider_error");
    assert!(failure.is_answer);
    assert!(matches!(server.next_event().await, ServerEvent::Request(_)));
    assert!(matches!(server.next_event().await, ServerEvent::Closed));
}

#[tokio::test]
async fn a_dropped_call_closes_its_connection() {
    let mut server = Server::start("", Ending::Hold).await;
    let provider = provider(&server.base_url, http_settings());
    let call = tokio::spawn(async move { ask(&provider).await });
    assert!(matches!(server.next_event().await, ServerEvent::Request(_)));
    call.abort();
    assert!(matches!(server.next_event().await, ServerEvent::Closed));
}

#[tokio::test]
async fn http2_without_tls_starts_with_the_connection_preface() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("the port opens");
    let base_url = format!(
        "http://{}/v1",
        listener.local_addr().expect("the address is valid")
    );
    let preface = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client connects");
        let mut first = [0; 24];
        tokio::io::AsyncReadExt::read_exact(&mut stream, &mut first)
            .await
            .expect("the preface has 24 bytes");
        first
    });
    let http = HttpSettings {
        http2_prior_knowledge: true,
        ..http_settings()
    };
    let failure = ask(&provider(&base_url, http))
        .await
        .expect_err("the connection is closed");
    assert_eq!(failure.error.code, "connection_failed");
    // RFC 9113, section 3.4.
    assert_eq!(
        &preface.await.expect("the server does not panic"),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    );
}
