//! Bad input over the real binary: each kind gets its 4xx as problem details (RFC 9457), never a 500,
//! and leaves nothing behind. Every field's own rules are the gateway's tests' business.

use std::time::Duration;

use e2e::client::{Answer, Client};
use reqwest::{Body, Method};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::pair::Pair;

const MIB: usize = 1024 * 1024;
/// The session that every bad submit names; none may ever come to be.
const NEVER: &str = "never";

/// Fails unless the answer is a problem with this status and code; returns it.
fn problem(what: &str, answer: Answer, status: u16, code: &str) -> Value {
    assert_eq!(answer.status.as_u16(), status, "{what}: {}", answer.body);
    let kind = answer.header("content-type");
    assert_eq!(kind, Some("application/problem+json"), "{what}");
    let body = answer.body;
    assert_eq!(body["code"], code, "{what}: {body}");
    assert_eq!(body["status"], status, "{what}: {body}");
    assert_eq!(
        body["type"],
        format!("urn:forebay:problem:{code}"),
        "{what}"
    );
    for text in ["title", "detail"] {
        let is_said = body[text].as_str().is_some_and(|text| !text.is_empty());
        assert!(is_said, "{what}: {body}");
    }
    body
}

async fn send(client: &Client, method: Method, path: &str, body: impl Into<Body>) -> Answer {
    let request = client.http().request(method, client.at(path)).body(body);
    let response = request
        .header("content-type", "application/json")
        .send()
        .await
        .unwrap_or_else(|error| panic!("{path}: {error:?}"));
    let (status, headers) = (response.status(), response.headers().clone());
    let bytes = response.bytes().await.expect("a whole answer");
    Answer {
        status,
        headers,
        body: serde_json::from_slice(&bytes).unwrap_or_default(),
    }
}

async fn post(client: &Client, body: impl Into<Body>) -> Answer {
    send(client, Method::POST, "/v1/jobs", body).await
}

/// Fails if anything was stored or asked of the provider.
async fn nothing_is_left(pair: &Pair) {
    let session = pair.client.session(NEVER).await;
    problem("the session", session, 404, "session_not_found");
    // A good job counts; were another one live, the count would be higher.
    let gate = pair.llm.hold();
    let good = pair.say("good", "turn=0").await;
    pair.running("turn=0").await;
    pair.live_jobs_become(1).await;
    gate.open();
    pair.text(&good).await;
    pair.live_jobs_become(0).await;
    assert_eq!(pair.llm.stats().requests, 1, "{}", pair.llm.listing());
}

#[tokio::test]
async fn what_is_not_json_is_400() {
    let pair = Pair::start().await;
    let deep = |open: &str, close: &str| {
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
        deep("[", "]"),
        deep(r#"{"x":"#, "}"),
        "[".repeat(100_000),
    ] {
        let what: String = body.chars().take(60).collect();
        problem(&what, post(&pair.client, body).await, 400, "invalid_json");
    }
    let not_utf8 = b"{\"session_id\": \"never\", \"input\": \"\xff\xfe\"}".to_vec();
    problem(
        "not UTF-8",
        post(&pair.client, not_utf8).await,
        400,
        "invalid_json",
    );
    nothing_is_left(&pair).await;
}

#[tokio::test]
async fn what_no_job_can_be_is_422_and_names_the_field() {
    let pair = Pair::start().await;
    let with = |name: &str, value: Value| {
        let mut job = json!({ "session_id": NEVER, "input": "hi" });
        job[name] = value;
        job
    };
    let deep = (0..100).fold(json!(1), |inner, _| json!([inner]));
    for (job, field) in [
        (json!("hi"), "body"),
        (json!([with("input", json!("hi"))]), "body"),
        (json!({ "session_id": NEVER }), "input"),
        // wrong types
        (with("input", json!(7)), "input"),
        (
            with("input", json!([{ "role": "user", "content": 7 }])),
            "input[0].content",
        ),
        (with("model", json!(["gpt-test"])), "model"),
        (with("context", json!("all")), "context"),
        (with("metadata", json!({ "a": 1 })), "a"),
        (with("tools", json!({ "f": 1 })), "tools"),
        // unknown
        (with("imput", json!("hi")), "imput"),
        (with("context", json!({ "turns": 3 })), "context.turns"),
        (
            with("input", json!([{ "role": "robot", "content": "hi" }])),
            "input[0].role",
        ),
        (with("priority", json!("urgent")), "priority"),
        (with("if_busy", json!("wait")), "if_busy"),
        // empty
        (with("input", json!("")), "input"),
        (with("input", json!([])), "input"),
        (
            with("input", json!([{ "role": "user", "content": "" }])),
            "input[0].content",
        ),
        (with("model", json!("")), "model"),
        // out of range
        (with("temperature", json!(2.1)), "temperature"),
        (with("top_p", json!(0)), "top_p"),
        (with("max_output_tokens", json!(0)), "max_output_tokens"),
        (with("tool_wait_s", json!(3_601)), "tool_wait_s"),
        (with("expires_in_s", json!(0)), "expires_in_s"),
        (with("expires_in_s", json!(1e300)), "expires_in_s"),
        (
            with("context", json!({ "max_turns": 0 })),
            "context.max_turns",
        ),
        (with("extra_body", json!({ "x": deep })), "extra_body"),
        // ids
        (with("session_id", json!("")), "session_id"),
        (with("session_id", json!("a/b")), "session_id"),
        (with("session_id", json!("a\u{0}b")), "session_id"),
        (with("session_id", json!("../../etc/passwd")), "session_id"),
        (with("session_id", json!("größe")), "session_id"),
        (with("session_id", json!("x".repeat(129))), "session_id"),
        (with("session_id", json!("x".repeat(100_000))), "session_id"),
    ] {
        let what = format!("{field} in {:.80}", job.to_string());
        let answer = post(&pair.client, job.to_string()).await;
        let body = problem(&what, answer, 422, "invalid_request");
        let named = body["errors"].as_array().expect("errors");
        let is_named = |error: &Value| {
            let name = error["field"].as_str().unwrap_or_default();
            name.ends_with(field) && error["message"].as_str().is_some_and(|m| m.len() > 5)
        };
        assert!(named.iter().any(is_named), "{what}: {body}");
    }
    nothing_is_left(&pair).await;
}

#[tokio::test]
async fn a_bad_idempotency_key_is_422_and_another_body_under_one_too() {
    let pair = Pair::start().await;
    let job = json!({ "session_id": NEVER, "input": "hi" });
    for key in [String::new(), "x".repeat(256), String::from("a\tb")] {
        let answer = pair.client.submit_with_key(&job, &key).await;
        problem(&key, answer, 422, "invalid_request");
    }
    nothing_is_left(&pair).await;
    let kept = json!({ "session_id": "kept", "input": "turn=1" });
    let id = pair.client.submit_with_key(&kept, "key").await.expect(202);
    let answer = pair.client.submit_with_key(&job, "key").await;
    problem("another body", answer, 422, "idempotency_key_reused");
    let again = pair.client.submit_with_key(&kept, "key").await;
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(again.body["id"], id["id"]);
    pair.text(id["id"].as_str().expect("an id")).await;
    assert_eq!(pair.client.session(NEVER).await.status, 404);
}

#[tokio::test]
async fn another_media_type_is_415() {
    let pair = Pair::start().await;
    let request = pair.client.http().post(pair.client.at("/v1/jobs"));
    let body = json!({ "session_id": NEVER, "input": "hi" }).to_string();
    let response = request.header("content-type", "text/plain").body(body);
    let response = response.send().await.expect("an answer");
    assert_eq!(response.status(), 415);
    nothing_is_left(&pair).await;
}

#[tokio::test]
async fn a_body_that_is_too_large_is_413_announced_or_not() {
    let pair = Pair::start().await;
    let job = json!({ "session_id": NEVER, "input": "x".repeat(11 * MIB) }).to_string();
    let answer = post(&pair.client, job.clone()).await;
    problem("content-length", answer, 413, "body_too_large");
    // Without a length it is sent in chunks.
    let bytes = job.into_bytes();
    let chunks = bytes.chunks(64 * 1024).map(<[u8]>::to_vec);
    let chunks = chunks.map(Ok::<_, std::io::Error>).collect::<Vec<_>>();
    let body = Body::wrap_stream(futures_util::stream::iter(chunks));
    let answer = post(&pair.client, body).await;
    problem("chunked", answer, 413, "body_too_large");
    // A length beyond all numbers, of which nothing ever comes.
    for length in ["11534336", "18446744073709551615"] {
        let head = format!(
            "POST /v1/jobs HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\nexpect: 100-continue\r\n\r\n"
        );
        let answer = raw(&pair, head.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{length}: {answer}");
    }
    nothing_is_left(&pair).await;
    // Just within the bound it is taken, as far as its size goes.
    let fits = json!({ "session_id": "large", "input": "x".repeat(9 * MIB) });
    let id = pair.submit(&fits).await;
    pair.text(&id).await;
}

#[tokio::test]
async fn what_is_not_http_is_4xx_and_the_server_goes_on() {
    let pair = Pair::start().await;
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET /v1/jobs/a\x00b HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /v1/jobs/a b HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST /v1/jobs HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/jobs HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ] {
        let answer = raw(&pair, bytes).await;
        let is_refused = answer.is_empty() || answer.starts_with("HTTP/1.1 4");
        assert!(is_refused, "{bytes:?}: {answer}");
    }
    nothing_is_left(&pair).await;
}

/// Sends these bytes as they are; returns what comes back until the server closes.
async fn raw(pair: &Pair, bytes: &[u8]) -> String {
    let address = pair.client.at("").replace("http://", "");
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(bytes).await.expect("sent");
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    let read = tokio::time::timeout(Duration::from_secs(20), read).await;
    // A reset after the answer is an end as well.
    let _ = read.expect("the server neither answered nor closed");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn unknown_and_strange_ids_are_404() {
    let pair = Pair::start().await;
    let long = "x".repeat(5_000);
    let ids = [
        "job_00018bcfe5680070008000000000000000",
        "JOB_00018bcfe5680070008000000000000000",
        "job_",
        "x",
        "%00",
        "a%00b",
        "a%2Fb",
        "..%2F..%2Fetc%2Fpasswd",
        "%2e%2e",
        "%ff%fe",
        "%C3%BC",
        "%F0%9F%A6%80",
        "%25",
        "a%20b",
        "'%20OR%201=1--",
        "%0d%0aset-cookie:x",
        long.as_str(),
    ];
    for id in ids {
        for (method, path, code) in [
            (Method::GET, format!("/v1/jobs/{id}"), "job_not_found"),
            (
                Method::GET,
                format!("/v1/jobs/{id}?wait_s=5"),
                "job_not_found",
            ),
            (
                Method::POST,
                format!("/v1/jobs/{id}/cancel"),
                "job_not_found",
            ),
            (
                Method::GET,
                format!("/v1/sessions/{id}"),
                "session_not_found",
            ),
            (
                Method::DELETE,
                format!("/v1/sessions/{id}"),
                "session_not_found",
            ),
        ] {
            // What a client folds away before it is sent never comes here.
            if id == "%2e%2e" {
                continue;
            }
            let answer = send(&pair.client, method, &path, "").await;
            problem(&path, answer, 404, code);
        }
    }
    for path in [
        "/",
        "/v1",
        "/v1/jobs/",
        "/v1/jobs/a/b",
        "/v2/jobs",
        "/v1/sessions/",
    ] {
        let answer = send(&pair.client, Method::GET, path, "").await;
        assert_eq!(answer.status, 404, "{path}");
    }
    for (method, path) in [
        (Method::GET, "/v1/jobs"),
        (Method::DELETE, "/v1/jobs/x"),
        (Method::PUT, "/v1/sessions/x"),
        (Method::POST, "/v1/queues"),
    ] {
        let answer = send(&pair.client, method, path, "").await;
        problem(path, answer, 405, "method_not_allowed");
    }
    nothing_is_left(&pair).await;
}

#[tokio::test]
async fn a_finished_job_cannot_be_cancelled() {
    let pair = Pair::start().await;
    pair.llm.on(
        "fails",
        [e2e::scripted::ProviderError::unauthorized().into()],
    );
    for text in ["completes", "fails"] {
        let id = pair.say("s", text).await;
        let before = pair.wait(&id).await;
        let answer = pair.client.cancel(&id).await;
        problem(text, answer, 409, "job_finished");
        assert_eq!(pair.client.job(&id).await.expect(200), before);
    }
    let gate = pair.llm.hold();
    let id = pair.say("s", "is cancelled").await;
    pair.client.cancel(&id).await.expect(200);
    let answer = pair.client.cancel(&id).await;
    problem("cancelled", answer, 409, "job_finished");
    gate.open();
}

#[tokio::test]
async fn a_session_with_live_jobs_cannot_be_deleted() {
    let pair = Pair::start().await;
    let gate = pair.llm.hold();
    let id = pair.say("s", "turn=0").await;
    let answer = pair.client.delete_session("s").await;
    problem("busy", answer, 409, "session_busy");
    gate.open();
    pair.text(&id).await;
    pair.client.delete_session("s").await.expect(204);
    let answer = pair.client.session("s").await;
    problem("deleted", answer, 404, "session_not_found");
}

#[tokio::test]
async fn a_full_session_is_429_and_takes_more_once_it_is_not() {
    const LANE_MAX: usize = 200;
    let pair = Pair::start().await;
    let gate = pair.llm.hold();
    let mut ids = Vec::new();
    for n in 0..LANE_MAX {
        ids.push(pair.say("s", &format!("turn={n}")).await);
    }
    let one_more = json!({ "session_id": "s", "input": "one more" });
    let answer = pair.client.submit_with_key(&one_more, "more").await;
    let wait_s = answer.header("retry-after").map(str::to_owned);
    let wait_s = wait_s.and_then(|text| text.parse::<u64>().ok());
    assert!(wait_s.is_some_and(|seconds| seconds > 0), "{answer:?}");
    problem("full", answer, 429, "session_full");
    let session = pair.client.session("s").await.expect(200);
    assert_eq!(session["live_jobs"], LANE_MAX, "{session}");
    // Other sessions have room.
    let other = pair.say("other", "turn=0").await;
    pair.client.cancel(&ids[LANE_MAX - 1]).await.expect(200);
    // The key of the refused submit leads to the job that is made now.
    let taken = pair
        .client
        .submit_with_key(&one_more, "more")
        .await
        .expect(202);
    gate.open();
    assert_eq!(pair.text(&other).await, "seen:0");
    pair.text(taken["id"].as_str().expect("an id")).await;
}
