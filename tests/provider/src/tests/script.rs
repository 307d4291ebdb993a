//! Scripts, gates, waits, latencies and counts. Some requests are sent as plain bytes.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{RawClient, openai_body_of, post_openai, split_response};
use crate::{Latency, ScriptedLlm, ScriptedReply};

/// The timeout of a wait that must fail.
const SHORT_WAIT: Duration = Duration::from_millis(50);

#[tokio::test]
async fn queued_replies_precede_rules_and_rules_precede_the_default_reply() {
    let server = ScriptedLlm::start().await;
    server.add_rule(|request| {
        let text = request.last_user_text();
        text.contains("ruled")
            .then(|| ScriptedReply::text("by rule"))
    });
    server.queue_replies(
        "queued",
        [ScriptedReply::text("one"), ScriptedReply::text("two")],
    );
    let reply_to = async |text: &str| {
        let (_, body) = post_openai(&server, &openai_body_of(text)).await;
        let content = &body["choices"][0]["message"]["content"];
        content.as_str().expect("the reply has a text").to_owned()
    };
    assert_eq!(reply_to("queued ruled").await, "one");
    assert_eq!(reply_to("ruled").await, "by rule");
    assert_eq!(reply_to("queued").await, "two");
    // The default reply lists the numbers of `turn=<n>` in the messages (`seen.rs`).
    assert_eq!(reply_to("queued turn=4").await, "seen:4");
    assert_eq!(server.recorded_with("queued").len(), 3);
}

#[tokio::test]
async fn a_gate_stops_requests_until_the_test_releases_them() {
    let server = ScriptedLlm::start().await;
    let gate = server.gate_requests(|request| request.last_user_text().contains("held"));
    let (free_status, _) = post_openai(&server, &openai_body_of("free")).await;
    assert_eq!(free_status, 200);
    let (one, two) = (openai_body_of("held one"), openai_body_of("held two"));
    let held = async { tokio::join!(post_openai(&server, &one), post_openai(&server, &two)) };
    tokio::pin!(held);
    let both = server.wait_for("both requests at the gate", |records| records.len() == 3);
    tokio::select! {
        _ = &mut held => panic!("a request passed the closed gate"),
        () = both => {}
    }
    assert_eq!(
        (server.stats().in_flight, server.stats().in_flight_max),
        (2, 2)
    );
    gate.release(1);
    let first = server.wait_for("one released request", |records| {
        records.iter().filter(|record| record.is_ok()).count() == 2
    });
    tokio::select! {
        _ = &mut held => panic!("both requests passed the gate"),
        () = first => {}
    }
    assert_eq!(server.stats().in_flight, 1);
    drop(gate);
    let ((one, _), (two, _)) = held.await;
    assert_eq!((one, two), (200, 200));
    assert_eq!(server.stats().answered, 3);
}

#[tokio::test]
async fn the_error_of_a_failed_wait_lists_the_requests() {
    let server = ScriptedLlm::start().await;
    post_openai(&server, &openai_body_of("the only one")).await;
    let waiting = tokio::spawn(async move {
        let two = |records: &[crate::Recorded]| records.len() == 2;
        server
            .wait_for_within(SHORT_WAIT, "two requests", two)
            .await;
    });
    let panic = waiting.await.expect_err("the wait panics").into_panic();
    let message = panic
        .downcast_ref::<String>()
        .expect("the panic has a message");
    assert!(
        message.contains("waiting for two requests"),
        "the message does not name the wait: {message}"
    );
    assert!(
        message.contains("\"the only one\": Answered(200)"),
        "the message does not list the request: {message}"
    );
}

#[tokio::test]
async fn a_reply_has_the_servers_latency_unless_it_sets_its_own() {
    let slow = Duration::from_millis(60);
    let server = ScriptedLlm::builder()
        .latency(Latency::Fixed(slow))
        .start()
        .await;
    server.queue_replies("own", [ScriptedReply::TurnNumbers.after(Duration::ZERO)]);
    let began = Instant::now();
    post_openai(&server, &openai_body_of("any")).await;
    assert!(began.elapsed() >= slow);
    server.set_latency(Latency::Fixed(Duration::from_secs(3_600)));
    post_openai(&server, &openai_body_of("own")).await;
}

#[tokio::test]
async fn equal_seeds_give_equal_latencies_within_the_range() {
    let draw = async |seed| {
        let server = ScriptedLlm::builder()
            .seed(seed)
            .latency_ms(3..=900)
            .start()
            .await;
        let latencies: Vec<u128> = (0..50)
            .map(|_| server.state().next_latency().as_millis())
            .collect();
        assert!(latencies.iter().all(|ms| (3..=900).contains(ms)));
        latencies
    };
    assert_eq!(draw(7).await, draw(7).await);
    assert_ne!(draw(7).await, draw(8).await);
}

#[tokio::test]
async fn pipelined_and_chunked_requests_are_served_on_one_connection() {
    let server = ScriptedLlm::start().await;
    let mut client = RawClient::connect(&server).await;
    client.send_request("turn=1").await;
    client.send_request("turn=2").await;
    let both = |text: &str| text.contains("seen:2");
    client
        .read_until(both)
        .await
        .expect("the server sends two replies");
    let body = openai_body_of("turn=3").to_string();
    let (first, second) = body.split_at(10);
    let length = second.len();
    client
        .write(b"POST /v1/chat/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    client
        .write(format!("a\r\n{first}\r\n{length:x}\r\n{second}\r\n0\r\n\r\n").as_bytes())
        .await;
    let third = |text: &str| text.contains("seen:3");
    client
        .read_until(third)
        .await
        .expect("the server sends a reply");
    assert_eq!(
        (server.stats().connections, server.stats().answered),
        (1, 3)
    );
}

#[tokio::test]
async fn a_request_for_another_path_is_refused_and_counted_as_unexpected() {
    let server = ScriptedLlm::start().await;
    let mut client = RawClient::connect(&server).await;
    client
        .write(b"GET /v1/models?key=secret HTTP/1.1\r\n\r\n")
        .await;
    let is_complete = |text: &str| text.ends_with("}}");
    let text = client
        .read_until(is_complete)
        .await
        .expect("the server sends a reply");
    assert!(
        split_response(&text)
            .0
            .starts_with("HTTP/1.1 404 Not Found")
    );
    assert_eq!(server.stats().unexpected, ["GET /v1/models"]);
    assert_eq!(server.stats().requests, 0);
}

#[tokio::test]
async fn a_request_is_recorded_with_its_body_and_key() {
    let server = ScriptedLlm::start().await;
    post_openai(&server, &openai_body_of("hello")).await;
    let record = &server.recorded()[0];
    assert_eq!(record.request.header("authorization"), Some("Bearer key"));
    assert_eq!(record.request.key(), Some("key"));
    assert_eq!(
        record.request.body["messages"][0],
        json!({ "role": "user", "content": "hello" })
    );
    assert!(record.is_ok() && !record.client_disconnected());
}
