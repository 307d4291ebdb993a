//! The Gemini provider over real HTTP: its requests, its answers and its errors.

mod provider_server;

use forebay_shared::{
    job::{FinishReason, Request},
    secret::Secret,
    turn::{Role, Turn},
};
use forebay_worker::provider::{
    Retry,
    gemini::{Gemini, GeminiSettings},
    http::{Endpoint, HttpSettings},
};
use provider_server::{
    Ending, Exceeds, FaultCase, Server, ServerEvent, answer, ask, ask_with, http_settings,
    transport_faults,
};
use serde_json::{Value, json};

const KEY: &str = "never-shown-1234";

fn provider(base_url: &str, http: HttpSettings) -> Gemini {
    Gemini::new(GeminiSettings {
        name: String::from("gemini"),
        base_url: Endpoint::parse(base_url).expect("the URL is valid"),
        key: Some(Secret::new(KEY)),
        headers: Vec::new(),
        http,
    })
    .expect("the provider is created")
}

fn reply(parts: &Value, finish_reason: &str) -> String {
    let content = json!({"role": "model", "parts": parts});
    let candidate = json!({"content": content, "finishReason": finish_reason});
    answer(200, "", &json!({"candidates": [candidate]}).to_string())
}

fn error(status: u16, headers: &str, status_name: &str, message: &str, details: &Value) -> String {
    let error = json!({"error": {"code": status, "message": message, "status": status_name, "details": details}});
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
    let without_details = |status, name| error(status, "", name, "no", &json!([]));
    let mut cases = transport_faults();
    cases.extend([
        case(
            "400",
            without_details(400, "INVALID_ARGUMENT"),
            "invalid_request",
            Retry::Never,
        ),
        case(
            "400 for a wrong key",
            error(
                400,
                "",
                "INVALID_ARGUMENT",
                "no",
                &json!([{"reason": "API_KEY_INVALID"}]),
            ),
            "authentication_failed",
            Retry::Never,
        ),
        case(
            "400 for a context that is too long",
            error(
                400,
                "",
                "INVALID_ARGUMENT",
                "The input token count (9) exceeds the maximum number of tokens allowed (8).",
                &json!([]),
            ),
            "context_length_exceeded",
            Retry::LessContext,
        ),
        case(
            "401",
            without_details(401, "UNAUTHENTICATED"),
            "authentication_failed",
            Retry::Never,
        ),
        case(
            "403",
            without_details(403, "PERMISSION_DENIED"),
            "authentication_failed",
            Retry::Never,
        ),
        case(
            "404",
            without_details(404, "NOT_FOUND"),
            "endpoint_not_found",
            Retry::Never,
        ),
        case(
            "404 for an unknown model",
            error(
                404,
                "",
                "NOT_FOUND",
                "models/m is not found for API version v1beta",
                &json!([]),
            ),
            "model_not_found",
            Retry::Never,
        ),
        case(
            "429",
            without_details(429, "RESOURCE_EXHAUSTED"),
            "rate_limited",
            Retry::Backoff,
        ),
        case(
            "429 with Retry-After",
            error(
                429,
                "retry-after: 7\r\n",
                "RESOURCE_EXHAUSTED",
                "no",
                &json!([]),
            ),
            "rate_limited",
            Retry::AfterMs(7_000),
        ),
        case(
            "429 with RetryInfo",
            error(
                429,
                "",
                "RESOURCE_EXHAUSTED",
                "no",
                &json!([{"retryDelay": "13s"}]),
            ),
            "rate_limited",
            Retry::AfterMs(13_000),
        ),
        case(
            "500",
            without_details(500, "INTERNAL"),
            "provider_error",
            Retry::Backoff,
        ),
        case(
            "503",
            without_details(503, "UNAVAILABLE"),
            "provider_error",
            Retry::Backoff,
        ),
        case(
            "a blocked prompt",
            answer(
                200,
                "",
                &json!({"promptFeedback": {"blockReason": "SAFETY"}}).to_string(),
            ),
            "content_blocked",
            Retry::Never,
        ),
        case(
            "no candidates",
            answer(200, "", "{}"),
            "empty_response",
            Retry::Backoff,
        ),
        case(
            "an empty candidate",
            reply(&json!([]), "STOP"),
            "empty_response",
            Retry::Backoff,
        ),
        case(
            "a malformed call",
            reply(&json!([]), "MALFORMED_FUNCTION_CALL"),
            "invalid_response",
            Retry::Backoff,
        ),
        case(
            "200 with an error",
            answer(
                200,
                "",
                &json!({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}).to_string(),
            ),
            "rate_limited",
            Retry::Backoff,
        ),
        case(
            "JSON of another form",
            answer(200, "", "{\"candidates\": 1}"),
            "invalid_response",
            Retry::Backoff,
        ),
    ]);
    cases
}

#[tokio::test]
async fn each_fault_has_a_code_and_a_retry() {
    for case in faults() {
        let mut server = Server::start(case.bytes.clone(), case.ending).await;
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
        assert!(matches!(server.next_event().await, ServerEvent::Request(_)));
    }
}

#[tokio::test]
async fn the_key_is_sent_in_a_header_and_is_not_in_the_url_or_an_error() {
    let message = format!("no such key: {KEY}");
    let bytes = error(403, "", "PERMISSION_DENIED", &message, &json!([]));
    let mut server = Server::start(bytes, Ending::Close).await;
    let failure = ask(&provider(&server.base_url, http_settings()))
        .await
        .expect_err("the request is refused");
    assert!(!failure.error.message.contains(KEY), "failure: {failure}");
    let sent = server.request().await;
    let line = sent
        .header_text
        .lines()
        .next()
        .expect("the header has a first line");
    assert_eq!(
        line,
        "post /v1/models/gemini-2.5-flash:generatecontent http/1.1"
    );
    assert!(sent.header_text.contains(&format!("x-goog-api-key: {KEY}")));
}

#[tokio::test]
async fn a_reply_has_the_limits_of_its_headers() {
    let body =
        json!({"candidates": [{"content": {"parts": [{"text": "hi"}]}, "finishReason": "STOP"}]});
    let headers = "ratelimit-limit: 9\r\nratelimit-remaining: 8\r\nratelimit-reset: 1\r\n";
    let bytes = answer(200, headers, &body.to_string());
    let server = Server::start(bytes, Ending::Close).await;
    let answer = ask(&provider(&server.base_url, http_settings()))
        .await
        .expect("the provider answers");
    let requests = answer.limits.and_then(|limits| limits.requests);
    let requests = requests.expect("the limit is read");
    let read = (requests.limit, requests.remaining, requests.reset_ms);
    assert_eq!(read, (9, 8, 1_000));
}

#[tokio::test]
async fn a_reply_that_ends_at_the_token_limit_or_content_filter_is_no_failure() {
    for (reason, expected) in [
        ("MAX_TOKENS", FinishReason::Length),
        ("SAFETY", FinishReason::ContentFilter),
    ] {
        for parts in [json!([{"text": "part"}]), json!([])] {
            let server = Server::start(reply(&parts, reason), Ending::Close).await;
            let answer = ask(&provider(&server.base_url, http_settings()))
                .await
                .expect("the provider answers");
            assert_eq!(answer.finish_reason, expected);
            assert_eq!(answer.text().as_deref(), parts[0]["text"].as_str());
        }
    }
}

#[tokio::test]
async fn signatures_are_sent_back_with_tool_results() {
    let parts = json!([
        {"functionCall": {"name": "f", "args": {"n": 1}}, "thoughtSignature": "S"},
        {"functionCall": {"name": "f", "args": {"n": 2}}}
    ]);
    let mut server = Server::start(reply(&parts, "STOP"), Ending::Close).await;
    let provider = provider(&server.base_url, http_settings());
    let user = Turn::text(Role::User, "go");
    let request = Request::default();
    let first = ask_with(&provider, &request, std::slice::from_ref(&user))
        .await
        .expect("the provider answers");
    assert_eq!(first.finish_reason, FinishReason::ToolCalls);
    let result = |index: usize, text: &str| Turn {
        tool_call_id: Some(first.turn.tool_calls[index].id.clone()),
        ..Turn::text(Role::Tool, text)
    };
    let turns = [user, first.turn.clone(), result(1, "two"), result(0, "one")];
    ask_with(&provider, &request, &turns)
        .await
        .expect("the provider answers");
    server.request().await;
    let sent = server.request().await;
    assert_eq!(
        sent.body["contents"][1],
        json!({"role": "model", "parts": parts})
    );
    assert_eq!(
        sent.body["contents"][2],
        json!({"role": "user", "parts": [
            {"functionResponse": {"name": "f", "response": {"output": "one"}}},
            {"functionResponse": {"name": "f", "response": {"output": "two"}}}
        ]})
    );
}
