//! Tests of what HTTP clients expect: problems that name what is wrong, for each layer of a request.

use std::fmt::Write as _;

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    fixture::{ApiResponse, Fixture, job_in_session, lane_of},
    raw_http::{END_SENDING, KEEP_OPEN, RawResponse, exchange},
};

/// Sends bytes that end the connection. Asserts that the only response is this problem and names the field.
async fn expect_raw_problem(gateway: &Fixture, bytes: &[u8], status: u16, code: &str, field: &str) {
    let responses = exchange(gateway.address, bytes, END_SENDING).await;
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
    let [
        RawResponse {
            status: found,
            head,
            body,
        },
    ] = responses.as_slice()
    else {
        panic!("{start:?}: {responses:?}");
    };
    assert_eq!(
        (*found, &body["code"]),
        (status, &json!(code)),
        "{start:?}: {body}"
    );
    assert!(
        head.contains("content-type: application/problem+json"),
        "{head}"
    );
    assert!(head.contains("connection: close"), "{head}");
    if !field.is_empty() {
        assert_eq!(body["errors"][0]["field"], field, "{start:?}: {body}");
    }
}

async fn submit_bytes(gateway: &Fixture, body: &[u8]) -> ApiResponse {
    let request = gateway
        .request(Method::POST, "/v1/jobs")
        .body(body.to_vec());
    gateway
        .send(request.header("content-type", "application/json"))
        .await
}

#[tokio::test]
async fn bytes_that_are_not_http_get_a_problem() {
    let gateway = Fixture::start().await;
    for (bytes, field) in [
        (&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"[..], "request line"),
        (b"GET /v1/jobs/a b HTTP/1.1\r\nhost: x\r\n\r\n", "request line"),
        (b"GET / HTTP/3.0\r\nhost: localhost\r\n\r\n", "request line"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "request line"),
        (b"GET / HTTP/1.1\r\nhost localhost\r\n\r\n", "headers"),
        (b"GET / HTTP/1.1\r\nhost: localhost\r\nx y: z\r\n\r\n", "headers"),
        (b"GET / HTTP/1.1\r\nhost: localhost\r\nx: a\x00b\r\n\r\n", "headers"),
        (b"GET / HTTP/1.1\r\nhost: loc", "headers"),
        (
            b"POST /v1/jobs HTTP/1.1\r\nhost: localhost\r\ncontent-length: -1\r\n\r\n",
            "Content-Length",
        ),
        (
            b"POST /v1/jobs HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n{}",
            "Content-Length",
        ),
        (
            b"POST /v1/jobs HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: gzip\r\n\r\n",
            "Transfer-Encoding",
        ),
    ] {
        expect_raw_problem(&gateway, bytes, 400, "invalid_http", field).await;
    }
    gateway.get("/healthz").await.expect(200);
}

#[tokio::test]
async fn a_malformed_chunk_gets_a_problem() {
    let gateway = Fixture::start().await;
    let bytes = b"POST /v1/jobs HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
        transfer-encoding: chunked\r\n\r\nzz\r\n";
    expect_raw_problem(&gateway, bytes, 400, "invalid_http", "Transfer-Encoding").await;
}

#[tokio::test]
async fn http_1_1_needs_one_valid_host() {
    let gateway = Fixture::start().await;
    for headers in [
        "",
        "host: localhost\r\nhost: localhost\r\n",
        "host: a b\r\n",
        "host:\r\n",
    ] {
        let bytes = format!("GET /v1/queues HTTP/1.1\r\n{headers}connection: close\r\n\r\n");
        expect_raw_problem_of_route(&gateway, bytes.as_bytes(), 400, "invalid_http", "Host").await;
    }
    let responses = exchange(
        gateway.address,
        b"GET /v1/queues HTTP/1.0\r\n\r\n",
        KEEP_OPEN,
    )
    .await;
    assert_eq!(responses[0].status, 200, "HTTP/1.0 needs no Host");
}

/// Like [`expect_raw_problem`], for a response of the API itself.
async fn expect_raw_problem_of_route(
    gateway: &Fixture,
    bytes: &[u8],
    status: u16,
    code: &str,
    field: &str,
) {
    let responses = exchange(gateway.address, bytes, END_SENDING).await;
    let [
        RawResponse {
            status: found,
            body,
            ..
        },
    ] = responses.as_slice()
    else {
        panic!("{responses:?}");
    };
    assert_eq!((*found, &body["code"]), (status, &json!(code)), "{body}");
    assert_eq!(body["errors"][0]["field"], field, "{body}");
}

#[tokio::test]
async fn a_request_line_or_headers_that_are_too_large_get_a_problem() {
    let gateway = Fixture::start().await;
    let long = "x".repeat(200_000);
    let target = format!("GET /v1/jobs/{long} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    expect_raw_problem(
        &gateway,
        target.as_bytes(),
        414,
        "uri_too_long",
        "request line",
    )
    .await;
    let header = format!("GET / HTTP/1.1\r\nhost: localhost\r\nx: {long}\r\n\r\n");
    expect_raw_problem(
        &gateway,
        header.as_bytes(),
        431,
        "headers_too_large",
        "headers",
    )
    .await;
    let mut many = String::from("GET / HTTP/1.1\r\nhost: localhost\r\n");
    for number in 0..200 {
        let _ = write!(many, "x-{number}: y\r\n");
    }
    many.push_str("\r\n");
    expect_raw_problem(
        &gateway,
        many.as_bytes(),
        431,
        "headers_too_large",
        "headers",
    )
    .await;
}

#[tokio::test]
async fn headers_that_do_not_arrive_in_time_get_a_problem() {
    let gateway = Fixture::with_settings(|settings| settings.head_timeout_ms = 200).await;
    let responses = exchange(
        gateway.address,
        b"GET /v1/queues HTTP/1.1\r\nhost: loc",
        KEEP_OPEN,
    )
    .await;
    let [RawResponse { status, head, body }] = responses.as_slice() else {
        panic!("{responses:?}");
    };
    assert_eq!((*status, &body["code"]), (408, &json!("request_timeout")));
    assert!(head.contains("connection: close"), "{head}");
    // An idle connection is closed without a response.
    let responses = exchange(gateway.address, b"", KEEP_OPEN).await;
    assert!(responses.is_empty(), "{responses:?}");
}

#[tokio::test]
async fn a_malformed_request_after_a_valid_one_gets_a_problem_too() {
    let gateway = Fixture::start().await;
    let bytes = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\nGET / HTTP/9\r\n\r\n";
    let responses = exchange(gateway.address, bytes, END_SENDING).await;
    let statuses: Vec<u16> = responses.iter().map(|response| response.status).collect();
    assert_eq!(statuses, [200, 400], "{responses:?}");
    assert_eq!(responses[1].body["code"], "invalid_http");
}

#[tokio::test]
async fn compressed_bodies_are_refused_with_the_accepted_coding() {
    let gateway = Fixture::start().await;
    for coding in ["gzip", "br", "zstd, identity"] {
        let request = gateway
            .request(Method::POST, "/v1/jobs")
            .json(&job_in_session("s"));
        let response = gateway
            .send(request.header("content-encoding", coding))
            .await;
        assert_eq!(response.header("accept-encoding"), Some("identity"));
        let problem = response.expect_problem(415, "unsupported_media_type");
        assert_eq!(problem["errors"][0]["field"], "Content-Encoding");
    }
}

#[tokio::test]
async fn a_body_that_is_not_json_is_named_as_what_it_is() {
    let gateway = Fixture::start().await;
    let text = r#"{"input":"Hi."}"#;
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (body, name) in [
        (&b""[..], "is empty"),
        (b"  ", "is empty"),
        (b"\xef\xbb\xbf{\"input\":\"Hi.\"}", "byte order mark"),
        (&utf16, "UTF-16"),
        (br#"{"input":"Hi.","temperature":NaN}"#, "NaN"),
        (br#"{"input":"Hi.","temperature":-Infinity}"#, "Infinity"),
        (br#"{"input":"\ud800"}"#, "surrogate"),
        (br#"{"input":"Hi."#, "cut off"),
        (b"\x1f\x8b\x08\x00", "gzip"),
    ] {
        let problem = submit_bytes(&gateway, body).await;
        let problem = problem.expect_problem(400, "invalid_json");
        assert_eq!(problem["errors"][0]["field"], "body");
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(detail.contains(name), "{name}: {detail}");
    }
    // Without a body, the content type does not matter.
    let problem = gateway.post("/v1/jobs").await;
    problem.expect_problem(400, "invalid_json");
}

#[tokio::test]
async fn unknown_query_parameters_are_refused() {
    let gateway = Fixture::start().await;
    let id = gateway.submit_accepted(&job_in_session("s")).await;
    for (method, path, name) in [
        (Method::GET, format!("/v1/jobs/{id}?wait=5"), "wait"),
        (Method::GET, format!("/v1/jobs/{id}?wait_s=0&x=1"), "x"),
        (
            Method::POST,
            format!("/v1/jobs/{id}/cancel?reason=x"),
            "reason",
        ),
        (
            Method::POST,
            String::from("/v1/jobs?wait_s=0&wait=5"),
            "wait",
        ),
        (Method::GET, String::from("/v1/sessions/s?turns=1"), "turns"),
        (
            Method::DELETE,
            String::from("/v1/sessions/s?force"),
            "force",
        ),
        (Method::GET, String::from("/v1/queues?class=batch"), "class"),
        (
            Method::GET,
            String::from("/v1/providers?%3Cb%3E"),
            "%3Cb%3E",
        ),
    ] {
        let request = gateway.request(method, &path).json(&job_in_session("s"));
        let problem = gateway.send(request).await;
        let problem = problem.expect_problem(400, "unknown_parameter");
        assert_eq!(problem["errors"][0]["field"], name, "{path}");
    }
    gateway
        .get(&format!("/v1/jobs/{id}?wait_s=0"))
        .await
        .expect(200);
    gateway.get("/healthz?probe=1").await.expect(200);
    assert_eq!(gateway.live_jobs().await, 1);
}

#[tokio::test]
async fn session_ids_are_any_text_and_are_percent_encoded_in_paths() {
    let gateway = Fixture::start().await;
    let longest = "é".repeat(100);
    for id in [
        "a/b",
        "ada+x@example.com",
        "ünï",
        "a b?#%2F",
        "/",
        "...",
        "\u{1f980}",
        &longest,
    ] {
        let accepted = gateway.submit(&job_in_session(id)).await.expect(202);
        assert_eq!(accepted["session_id"], id);
        gateway.complete_all(id).await;
        let encoded: String = id.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let path = format!("/v1/sessions/{encoded}");
        let session = gateway.get(&path).await.expect(200);
        assert_eq!(
            (&session["id"], &session["turn_count"]),
            (&json!(id), &json!(2))
        );
        let deleted = gateway.delete(&path).await;
        assert_eq!(deleted.status.as_u16(), 204, "{id}");
        let lane = gateway.member.store.load(&lane_of(id), &[], None).await;
        assert!(lane.expect("the store answers").version.is_none(), "{id}");
    }
    for encoded in ["%2E%2E", "%00", "%FF", "a%0Ab", &"x".repeat(201)] {
        let response = gateway.get(&format!("/v1/sessions/{encoded}")).await;
        assert_eq!(response.status.as_u16(), 404, "{encoded}");
    }
}

#[tokio::test]
async fn fields_of_other_apis_have_a_hint_instead_of_a_list() {
    let gateway = Fixture::start().await;
    for (field, value, hint) in [
        (
            "messages",
            json!([{"role": "user", "content": "Hi."}]),
            "input",
        ),
        ("max_tokens", json!(10), "max_output_tokens"),
        ("stream", json!(true), "wait_s"),
        ("seed", json!(1), "extra_body"),
        ("maxOutputTokens", json!(1), "max_output_tokens"),
        ("Temperature", json!(1), "write temperature"),
    ] {
        let mut job = job_in_session("s");
        job[field] = value;
        let problem = gateway
            .submit(&job)
            .await
            .expect_problem(422, "invalid_request");
        let error = &problem["errors"][0];
        assert_eq!(error["field"], field);
        let message = error["message"].as_str().unwrap_or_default();
        assert!(message.contains(hint), "{field}: {message}");
        assert!(message.len() < 150, "{field}: {message}");
    }
}

#[tokio::test]
async fn the_root_shows_the_name_and_the_routes() {
    let gateway = Fixture::start().await;
    let root: Value = gateway.get("/").await.expect(200);
    assert_eq!(root["name"], "Forebay");
    assert!(root["routes"].to_string().contains("POST /v1/jobs"));
    let unknown = gateway.get("/v2").await.expect_problem(404, "not_found");
    assert!(unknown["detail"].to_string().contains("GET /"));
}

#[tokio::test]
async fn a_refusal_arrives_although_the_body_was_not_needed() {
    let gateway = Fixture::start().await;
    let body = vec![b'x'; 4 * 1024 * 1024];
    for (method, path, status) in [
        (Method::POST, "/nothing", 404),
        (Method::PUT, "/v1/jobs", 405),
        (Method::POST, "/v1/jobs?x=1", 400),
        (Method::POST, "/v1/jobs/x/cancel", 404),
        (Method::DELETE, "/v1/sessions/x", 404),
        (Method::GET, "/v1/queues", 200),
    ] {
        for _ in 0..5 {
            let request = gateway.request(method.clone(), path).body(body.clone());
            let response = gateway.send(request).await;
            assert_eq!(response.status.as_u16(), status, "{path}");
        }
    }
}
