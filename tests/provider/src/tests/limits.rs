//! Rate limits, a server that is offline, and the counts of calls, over real sockets.

use std::time::Instant;

use serde_json::{Value, json};

use super::{RawClient, openai_body_of, post_openai, split_response};
use crate::{LimitHeaders, RateLimit, ScriptedLlm, ScriptedReply};

/// An OpenAI request body for a model.
fn body_for(model: &str) -> Value {
    json!({ "model": model, "messages": [{ "role": "user", "content": "hello" }] })
}

/// The head of the response to one request.
async fn head_of_response(server: &ScriptedLlm, text: &str) -> String {
    let mut client = RawClient::connect(server).await;
    client.send_request(text).await;
    let is_complete = |text: &str| text.ends_with('}');
    let response = client.read_until(is_complete).await;
    let response = response.expect("the server sends a response");
    split_response(&response).0.to_owned()
}

#[tokio::test]
async fn a_call_beyond_the_limit_is_refused_and_takes_no_scripted_reply() {
    let server = ScriptedLlm::start().await;
    let limit = RateLimit::token_bucket(1, 1).with_headers(LimitHeaders::RetryAfter);
    server.set_rate_limit(Some(limit));
    server.queue_replies("two", [ScriptedReply::text("scripted")]);
    let head = head_of_response(&server, "one").await;
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    assert!(!head.contains("retry-after"), "{head}");
    let head = head_of_response(&server, "two").await;
    assert!(head.starts_with("HTTP/1.1 429 "), "{head}");
    assert!(head.contains("\r\nretry-after: 60\r\n"), "{head}");
    server.set_rate_limit(None);
    let (status, body) = post_openai(&server, &openai_body_of("two")).await;
    let text = &body["choices"][0]["message"]["content"];
    assert_eq!((status, text), (200, &json!("scripted")));
}

#[tokio::test]
async fn every_response_under_a_limit_of_openai_has_its_headers() {
    let server = ScriptedLlm::start().await;
    let limit = RateLimit::token_bucket(1, 1).with_headers(LimitHeaders::XRateLimit);
    server.set_rate_limit(Some(limit));
    for status in [200, 429] {
        let head = head_of_response(&server, "any").await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        for header in [
            "limit-requests: 1",
            "remaining-requests: 0",
            "reset-requests: ",
        ] {
            assert!(
                head.contains(&format!("\r\nx-ratelimit-{header}")),
                "{head}"
            );
        }
        assert!(!head.contains("retry-after"), "{head}");
    }
}

#[tokio::test]
async fn calls_are_counted_by_their_outcome_and_by_their_input() {
    let server = ScriptedLlm::start().await;
    server.set_rate_limit(Some(RateLimit::token_bucket(1, 3)));
    let gate = server.gate_requests(|request| request.last_user_text() == "held");
    let held_body = openai_body_of("held");
    let held = post_openai(&server, &held_body);
    tokio::pin!(held);
    tokio::select! {
        _ = &mut held => panic!("a request passed the closed gate"),
        () = server.wait_for_requests(1) => {}
    }
    for (input, status) in [("a", 200), ("a", 200), ("b", 429)] {
        assert_eq!(post_openai(&server, &openai_body_of(input)).await.0, status);
    }
    let calls = server.calls();
    assert_eq!(
        (calls.count(), calls.accepted(), calls.refused()),
        (4, 2, 1)
    );
    let first_refusal_at = calls.first_answer_at(429).expect("a call was refused");
    assert!(calls.last_answer_at(200) < Some(first_refusal_at));
    assert_eq!(calls.after(first_refusal_at).count(), 0);
    let in_flight = calls.in_flight_at(first_refusal_at);
    assert_eq!(
        (in_flight.count(), in_flight.refused()),
        (2, 1),
        "the held call and the refused call are in flight at the first 429"
    );
    gate.open();
    assert_eq!(held.await.0, 200);
    assert_eq!(post_openai(&server, &openai_body_of("b")).await.0, 429);
    let calls = server.calls();
    let later = calls.after(first_refusal_at);
    assert_eq!((later.count(), later.refused()), (1, 1));
    let answers = [("a", 2), ("b", 0), ("held", 1)];
    let answers = answers.map(|(input, count)| (input.to_owned(), count));
    assert_eq!(calls.answers_by_input(), answers.into());
    assert_eq!(calls.accepted_arrivals().len(), 3);
    assert!(calls.accepted_arrivals().is_sorted());
}

#[tokio::test]
async fn a_failing_model_does_not_affect_the_others() {
    let server = ScriptedLlm::start().await;
    server.fail_model("broken");
    server.set_rate_limit_of_model("limited", Some(RateLimit::token_bucket(1, 1)));
    for (model, status) in [
        ("broken", 500),
        ("limited", 200),
        ("limited", 429),
        ("other", 200),
        ("broken", 500),
    ] {
        assert_eq!(
            post_openai(&server, &body_for(model)).await.0,
            status,
            "{model}"
        );
    }
    assert_eq!(server.calls().answered_with(500), 2);
}

#[tokio::test]
async fn a_server_that_is_offline_refuses_connections_and_keeps_its_port() {
    let server = ScriptedLlm::start().await;
    let address = server.address();
    for _ in 0..3 {
        server.queue_replies("stall", [ScriptedReply::Stall]);
        let requests = server.stats().requests;
        let mut client = RawClient::connect(&server).await;
        client.send_request("stall").await;
        server.wait_for_requests(requests + 1).await;
        server.go_offline().await;
        // The read returns only if the connection is closed.
        let _ = client.read_to_end().await;
        let refused = tokio::net::TcpStream::connect(address).await;
        let error = refused.expect_err("the connection is refused");
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
        server.go_online().await;
        let began = Instant::now();
        // The server is online already, so this does nothing.
        server.go_online().await;
        assert_eq!(post_openai(&server, &openai_body_of("back")).await.0, 200);
        assert!(server.calls().last_answer_at(200) > Some(began));
    }
}
