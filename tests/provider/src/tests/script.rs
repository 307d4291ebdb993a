//! Scripts, gates, waits, latencies, counts, and plain HTTP.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{Raw, ask, post_openai, split};
use crate::{Latency, ScriptedLlm, ScriptedReply};

const NEVER: Duration = Duration::from_millis(50);

#[tokio::test]
async fn queues_come_first_then_rules_then_the_default() {
    let server = ScriptedLlm::start().await;
    server.script(|request| {
        let asked = request.last_user_text();
        asked
            .contains("ruled")
            .then(|| ScriptedReply::text("by rule"))
    });
    server.on(
        "queued",
        [ScriptedReply::text("one"), ScriptedReply::text("two")],
    );
    let reply_to = async |text: &str| {
        let (_, body) = post_openai(&server, &ask(text)).await;
        let content = &body["choices"][0]["message"]["content"];
        content.as_str().expect("a text").to_owned()
    };
    assert_eq!(reply_to("queued ruled").await, "one");
    assert_eq!(reply_to("ruled").await, "by rule");
    assert_eq!(reply_to("queued").await, "two");
    assert_eq!(reply_to("queued turn=4").await, "seen:4");
    assert_eq!(server.recorded_with("queued").len(), 3);
}

#[tokio::test]
async fn a_gate_holds_until_released() {
    let server = ScriptedLlm::start().await;
    let gate = server.hold_those(|request| request.last_user_text().contains("held"));
    let (free, _) = post_openai(&server, &ask("free")).await;
    assert_eq!(free, 200);
    let (one, two) = (ask("held one"), ask("held two"));
    let held = async { tokio::join!(post_openai(&server, &one), post_openai(&server, &two)) };
    tokio::pin!(held);
    let both = server.wait_for("both", |records| records.len() == 3);
    tokio::select! {
        _ = &mut held => panic!("a reply passed the gate"),
        () = both => {}
    }
    assert_eq!(
        (server.stats().in_flight, server.stats().in_flight_max),
        (2, 2)
    );
    gate.release(1);
    let first = server.wait_for("one reply", |r| r.iter().filter(|r| r.is_ok()).count() == 2);
    tokio::select! {
        _ = &mut held => panic!("both passed the gate"),
        () = first => {}
    }
    assert_eq!(server.stats().in_flight, 1);
    drop(gate);
    let ((one, _), (two, _)) = held.await;
    assert_eq!((one, two), (200, 200));
    assert_eq!(server.stats().answered, 3);
}

#[tokio::test]
async fn a_failed_wait_lists_the_record() {
    let server = ScriptedLlm::start().await;
    post_openai(&server, &ask("the only one")).await;
    let waiting = tokio::spawn(async move {
        let two = |records: &[crate::Recorded]| records.len() == 2;
        server.wait_for_within(NEVER, "two requests", two).await;
    });
    let panic = waiting.await.expect_err("a panic").into_panic();
    let message = panic.downcast_ref::<String>().expect("a message");
    assert!(message.contains("in vain for two requests"), "{message}");
    assert!(
        message.contains("\"the only one\": Answered(200)"),
        "{message}"
    );
}

#[tokio::test]
async fn latencies_are_kept_and_a_reply_may_have_its_own() {
    let slow = Duration::from_millis(60);
    let server = ScriptedLlm::builder()
        .latency(Latency::Fixed(slow))
        .start()
        .await;
    server.on("own", [ScriptedReply::TurnNumbers.after(Duration::ZERO)]);
    let began = Instant::now();
    post_openai(&server, &ask("any")).await;
    assert!(began.elapsed() >= slow);
    server.set_latency(Latency::Fixed(Duration::from_secs(3_600)));
    post_openai(&server, &ask("own")).await;
}

#[tokio::test]
async fn the_same_seed_gives_the_same_latencies_within_the_range() {
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
async fn one_connection_takes_pipelined_and_chunked_requests() {
    let server = ScriptedLlm::start().await;
    let mut client = Raw::connect(&server).await;
    client.ask("turn=1").await;
    client.ask("turn=2").await;
    let both = |text: &str| text.contains("seen:2");
    client.read_until(both).await.expect("two replies");
    let body = ask("turn=3").to_string();
    let (first, second) = body.split_at(10);
    let length = second.len();
    client
        .send(b"POST /v1/chat/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        .await;
    client
        .send(format!("a\r\n{first}\r\n{length:x}\r\n{second}\r\n0\r\n\r\n").as_bytes())
        .await;
    let third = |text: &str| text.contains("seen:3");
    client.read_until(third).await.expect("a reply");
    assert_eq!(
        (server.stats().connections, server.stats().answered),
        (1, 3)
    );
}

#[tokio::test]
async fn a_path_that_is_not_served_is_recorded_as_unexpected() {
    let server = ScriptedLlm::start().await;
    let mut client = Raw::connect(&server).await;
    client
        .send(b"GET /v1/models?key=secret HTTP/1.1\r\n\r\n")
        .await;
    let whole = |text: &str| text.ends_with("}}");
    let text = client.read_until(whole).await.expect("a reply");
    assert!(split(&text).0.starts_with("HTTP/1.1 404 Not Found"));
    assert_eq!(server.stats().unexpected, ["GET /v1/models"]);
    assert_eq!(server.stats().requests, 0);
}

#[tokio::test]
async fn a_request_is_recorded_with_its_body_and_key() {
    let server = ScriptedLlm::start().await;
    post_openai(&server, &ask("hello")).await;
    let record = &server.recorded()[0];
    assert_eq!(record.request.header("authorization"), Some("Bearer key"));
    assert_eq!(record.request.key(), Some("key"));
    assert_eq!(
        record.request.body["messages"][0],
        json!({ "role": "user", "content": "hello" })
    );
    assert!(record.is_ok() && !record.hung_up());
}
