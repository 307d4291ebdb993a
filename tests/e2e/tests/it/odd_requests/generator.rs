//! Makes an odd request from random numbers: methods, targets, headers, encodings, framings and bodies.

use rand::{RngExt, rngs::StdRng, seq::IndexedRandom};

use super::odd_json;

/// What the server must do at least. The variants are ordered from the strictest to the least strict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Strictness {
    /// The server must answer, and then close the connection without a reset.
    CleanClose,
    /// The server must answer. It need not read all of the request, so it may reset the connection after its response.
    Reset,
    /// The server need not answer: the request is malformed, or the client ends the connection before the end of the request.
    NoResponse,
}

/// A request, as bytes.
pub(super) struct OddRequest {
    pub(super) bytes: Vec<u8>,
    pub(super) strictness: Strictness,
    /// Whether the method is `HEAD`, so that the response has no body.
    pub(super) is_head: bool,
    /// Which parts are odd.
    pub(super) description: String,
}

/// The repeated method is chosen more often.
const METHODS: [&str; 14] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get", "PROPFIND",
    "QUERY", "X", "M-SEARCH", "POST",
];
const PATHS: [&str; 26] = [
    "/",
    "/v1/jobs",
    "/v1/jobs/",
    "/v1/jobs/x",
    "/v1/jobs/job_00018bcfe5680070008000000000000000",
    "/v1/jobs/job_00018bcfe5680070008000000000000000/cancel",
    "/v1/jobs/%00/cancel",
    "/v1/jobs/a/b/c",
    "/v1/sessions/s",
    "/v1/sessions/a%2Fb",
    "/v1/sessions/%C3%BC",
    "/v1/sessions/%ff",
    "/v1/sessions/%zz",
    "/v1/sessions/..",
    "/v1/sessions/%2E%2E/x",
    "/v1/queues",
    "/v1/providers",
    "/v1/nothing",
    "/healthz",
    "/readyz",
    "//v1//jobs",
    "/v1/jobs;x=1",
    "*",
    "http://localhost/v1/queues",
    "http://evil.example/v1/queues",
    "/%F0%9F%A6%80",
];
/// The repeated empty query is chosen more often.
const QUERIES: [&str; 14] = [
    "",
    "",
    "",
    "?",
    "?wait_s=0",
    "?wait_s=1",
    "?wait_s=61",
    "?wait_s=-1",
    "?wait_s",
    "?wait=1",
    "?%00=1",
    "?a=b&c",
    "?wait_s=0&wait_s=x",
    "?&&&",
];
const CONTENT_TYPES: [&str; 9] = [
    "application/json",
    "application/json; charset=utf-8",
    "application/json; charset=utf-16",
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/vnd.api+json",
    "",
    "/",
];
/// Lines that are added to a request's headers.
const HEADERS: [&str; 30] = [
    "content-encoding: gzip",
    "content-encoding: identity",
    "origin: https://evil.example",
    "origin: null",
    "sec-fetch-site: cross-site",
    "sec-fetch-site: none",
    "idempotency-key: k",
    "idempotency-key: \"open",
    "idempotency-key: ",
    "idempotency-key: \u{e9}",
    "prefer: wait=1",
    "prefer: wait=\"soon\", respond-async",
    "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "traceparent: x",
    "accept: text/html;q=0.1",
    "accept-encoding: gzip, br;q=x",
    "te: trailers",
    "upgrade: h2c",
    "connection: upgrade, http2-settings",
    "range: bytes=0-1",
    "if-match: *",
    "cookie: a=b; c",
    "authorization: Basic Og==",
    "x-forwarded-host: evil.example",
    "access-control-request-method: POST",
    "x: \u{1f980}",
    "x: ",
    "keep-alive: timeout=5",
    "max-forwards: 0",
    "via: 1.0 x, 1.1 y",
];
/// Header lines that make a request malformed, or that the server refuses before it looks for the route.
const BAD_HEADERS: [&str; 12] = [
    "no colon",
    " folded: x",
    "a b: c",
    ": x",
    "x: a\0b",
    "host: other.example",
    "content-length: 5",
    "content-length: -1",
    "content-length: 99999999999999999999",
    "transfer-encoding: gzip",
    "transfer-encoding: chunked, identity",
    "x\u{e9}: y",
];

impl OddRequest {
    pub(super) fn generate(random: &mut StdRng) -> Self {
        match random.random_range(0..100) {
            0..5 => garbage(random),
            5..25 => request_to_any_route(random),
            _ => submit(random),
        }
    }
}

fn pick<'a>(random: &mut StdRng, list: &[&'a str]) -> &'a str {
    list.choose(random).copied().unwrap_or_default()
}

/// Random bytes, in half of the cases after the first lines of a valid request.
fn garbage(random: &mut StdRng) -> OddRequest {
    let length = random.random_range(1..2_000);
    let mut bytes: Vec<u8> = (0..length).map(|_| random.random()).collect();
    if random.random_bool(0.5) {
        bytes.splice(0..0, *b"GET /v1/queues HTTP/1.1\r\nhost: localhost\r\n");
    }
    OddRequest {
        bytes,
        strictness: Strictness::NoResponse,
        is_head: false,
        description: String::from("random bytes"),
    }
}

/// A request with an odd method or target, with or without a body.
fn request_to_any_route(random: &mut StdRng) -> OddRequest {
    let method = pick(random, &METHODS);
    let mut target = String::from(pick(random, &PATHS));
    target.push_str(pick(random, &QUERIES));
    if random.random_bool(0.03) {
        target.push_str(&"x".repeat(random.random_range(1_000..100_000)));
    }
    let version = pick(
        random,
        &["1.1", "1.1", "1.1", "1.1", "1.0", "2.0", "0.9", "11"],
    );
    let body = if random.random_bool(0.3) {
        odd_json::body(random)
    } else {
        Vec::new()
    };
    let mut head = format!("{method} {target} HTTP/{version}\r\n");
    push_host(random, &mut head);
    finish_request(
        random,
        head,
        method,
        &body,
        format!("{method} {target:.60}"),
    )
}

/// A submit with an odd body or odd headers.
fn submit(random: &mut StdRng) -> OddRequest {
    let body = odd_json::body(random);
    let mut head = String::from("POST /v1/jobs HTTP/1.1\r\n");
    push_host(random, &mut head);
    if random.random_bool(0.9) {
        head.push_str("content-type: application/json\r\n");
    } else {
        head.push_str(&format!(
            "content-type: {}\r\n",
            pick(random, &CONTENT_TYPES)
        ));
    }
    finish_request(random, head, "POST", &body, String::from("submit"))
}

fn push_host(random: &mut StdRng, head: &mut String) {
    let host = match random.random_range(0..40) {
        0 => return,
        1 => "evil.example",
        2 => "",
        3 => "a b",
        4 => "[::1]:8080",
        _ => "localhost",
    };
    head.push_str(&format!("host: {host}\r\n"));
}

/// Adds headers and the body, in one of the ways in which HTTP marks the end of a body.
fn finish_request(
    random: &mut StdRng,
    mut head: String,
    method: &str,
    body: &[u8],
    mut description: String,
) -> OddRequest {
    let mut strictness = Strictness::CleanClose;
    while random.random_bool(0.25) {
        let header = pick(random, &HEADERS);
        head.push_str(&format!("{header}\r\n"));
        description.push_str(&format!(", {header}"));
    }
    if random.random_bool(0.04) {
        let header = pick(random, &BAD_HEADERS);
        head.push_str(&format!("{header}\r\n"));
        description.push_str(&format!(", {header:?}"));
        // The header may announce more bytes.
        strictness = Strictness::NoResponse;
    }
    if random.random_bool(0.02) {
        let name_count = random.random_range(50..300);
        for number in 0..name_count {
            head.push_str(&format!("x-{number}: {}\r\n", "y".repeat(number % 500)));
        }
        strictness = strictness.max(Strictness::Reset);
    }
    if random.random_bool(0.03) && !body.is_empty() {
        head.push_str("expect: 100-continue\r\n");
        strictness = strictness.max(Strictness::Reset);
    }
    head.push_str("connection: close\r\n");
    let mut bytes;
    if !body.is_empty() && random.random_bool(0.2) {
        head.push_str("transfer-encoding: chunked\r\n\r\n");
        bytes = head.into_bytes();
        let step = random.random_range(1..=body.len());
        for chunk in body.chunks(step.max(body.len() / 50 + 1)) {
            bytes.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
            bytes.extend_from_slice(chunk);
            bytes.extend_from_slice(b"\r\n");
        }
        match random.random_range(0..10) {
            0 => {
                bytes.extend_from_slice(b"zz\r\n");
                strictness = Strictness::NoResponse;
                description.push_str(", a malformed chunk");
            }
            1 => bytes.extend_from_slice(b"0\r\nx-trailer: y\r\n\r\n"),
            _ => bytes.extend_from_slice(b"0\r\n\r\n"),
        }
    } else {
        if !body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH") {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        bytes = head.into_bytes();
        bytes.extend_from_slice(body);
    }
    if random.random_bool(0.04) {
        bytes.truncate(random.random_range(1..=bytes.len()));
        strictness = Strictness::NoResponse;
        description.push_str(", cut off");
    }
    OddRequest {
        bytes,
        strictness,
        is_head: method == "HEAD",
        description,
    }
}
