//! Every answer has an `x-request-id`: the client's if it is valid, and a new one otherwise.

use std::collections::BTreeSet;

use reqwest::Method;

use crate::{
    fixture::Fixture,
    raw_http::{END_SENDING, KEEP_OPEN, exchange},
};

const ID: &str = "client-7/id";

type Header = (&'static str, &'static str);

/// A request, and the status of its answer.
struct Case {
    method: &'static str,
    path: &'static str,
    headers: &'static [Header],
    body: &'static str,
    status: u16,
}

const fn case(
    method: &'static str,
    path: &'static str,
    headers: &'static [Header],
    body: &'static str,
    status: u16,
) -> Case {
    Case {
        method,
        path,
        headers,
        body,
        status,
    }
}

const CASES: [Case; 11] = [
    case("GET", "/healthz", &[], "", 200),
    case("GET", "/", &[], "", 200),
    case("POST", "/v1/jobs", &[JSON], r#"{"input":"Hi."}"#, 202),
    case("POST", "/v1/jobs", &[JSON], "{", 400),
    case("POST", "/v1/jobs", &[JSON], r#"{"input":1}"#, 422),
    case(
        "POST",
        "/v1/jobs",
        &[("content-encoding", "gzip")],
        "x",
        415,
    ),
    case("GET", "/v1/jobs/x", &[], "", 404),
    case("GET", "/nowhere", &[], "", 404),
    case("PUT", "/v1/jobs", &[], "", 405),
    case("GET", "/v1/queues?x=1", &[], "", 400),
    // The web guard refuses this request.
    case(
        "POST",
        "/v1/jobs",
        &[JSON, ("origin", "https://evil.example")],
        "{}",
        403,
    ),
];
const JSON: Header = ("content-type", "application/json");

#[tokio::test]
async fn every_answer_has_the_id_of_its_request() {
    let gateway = Fixture::start().await;
    let mut new_ids = BTreeSet::new();
    for Case {
        method,
        path,
        headers,
        body,
        status,
    } in CASES
    {
        for id in [Some(ID), None, Some("not valid")] {
            let method: Method = method.parse().expect("the method is valid");
            let mut request = gateway.request(method.clone(), path).body(body);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            if let Some(id) = id {
                request = request.header("x-request-id", id);
            }
            let response = gateway.send(request).await;
            let what = format!("{method} {path}: {}", response.body);
            assert_eq!(response.status.as_u16(), status, "{what}");
            let answered = response.header("x-request-id");
            let answered = answered.unwrap_or_else(|| panic!("no x-request-id: {what}"));
            if id == Some(ID) {
                assert_eq!(answered, ID, "{what}");
            } else {
                assert_eq!(answered.len(), 32, "{answered}: {what}");
                assert!(new_ids.insert(answered.to_owned()), "{answered} again");
            }
        }
    }
    assert_eq!(new_ids.len(), 2 * CASES.len());
}

#[tokio::test]
async fn an_unreadable_request_and_a_timeout_have_an_id_too() {
    let gateway = Fixture::with_settings(|settings| {
        settings.head_timeout_ms = 200;
        settings.body_timeout_ms = 200;
    })
    .await;
    let long_header = format!(
        "GET / HTTP/1.1\r\nX-Long: {}\r\n\r\n",
        "x".repeat(300 * 1024)
    );
    let long_target = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(300 * 1024));
    let slow_body = "POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{";
    for (bytes, keep_open, status) in [
        ("NO HTTP\r\n\r\n", END_SENDING, 400),
        ("GET / HTTP/1.1\r\nbad header\r\n\r\n", END_SENDING, 400),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", END_SENDING, 400),
        (long_header.as_str(), END_SENDING, 431),
        (long_target.as_str(), END_SENDING, 414),
        ("GET / HTTP/1.1\r\nX-Slow:", KEEP_OPEN, 408),
        (slow_body, KEEP_OPEN, 408),
    ] {
        let start: String = bytes.chars().take(40).collect();
        let responses = exchange(gateway.address, bytes.as_bytes(), keep_open).await;
        let [response] = &responses[..] else {
            panic!("{} responses to {start:?}", responses.len());
        };
        assert_eq!(response.status, status, "{start:?}: {response:?}");
        let id = response.head.split("\r\nx-request-id: ").nth(1);
        let id = id.and_then(|rest| rest.split("\r\n").next());
        assert_eq!(id.map(str::len), Some(32), "{start:?}: {response:?}");
    }
}
