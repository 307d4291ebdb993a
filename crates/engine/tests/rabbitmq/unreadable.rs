//! Messages that a process of this release cannot read.

use forebay_shared::class::Class;
use serde_json::Value;

use crate::setup::{
    INTERACTIVE, UNREADABLE, assert_no_delivery, connected, consume, new_wake, next_delivery,
    publish, vhost, wait_for_counts, wait_until,
};

#[tokio::test]
async fn unreadable_messages_are_moved_with_the_reason_and_the_consumer_continues() {
    let vhost = vhost().await;
    let queue = connected(vhost.url(), "worker-1").await;
    let mut newer = serde_json::to_value(new_wake(Class::Interactive)).unwrap();
    newer["v"] = Value::from(2);
    let bodies: [(&[u8], &str); 4] = [
        (b"not json", "not a wake"),
        (b"\xff\xfe", "not a wake"),
        (&serde_json::to_vec(&newer).unwrap(), "version 2"),
        (&vec![b'x'; 70_000], "70000 bytes"),
    ];
    for (body, _) in bodies {
        vhost.publish_raw(INTERACTIVE, body).await.unwrap();
    }
    let readable = publish(&queue, Class::Interactive).await;

    // The consumer may have one unsettled delivery, so each message must be moved before the next is delivered.
    let mut consumer = consume(&queue, 1).await;
    let delivery = next_delivery(&mut consumer).await;
    assert_eq!(delivery.wake.job, readable);
    delivery.ack();
    assert_no_delivery(&mut consumer).await;
    wait_for_counts(&vhost, 0, 0).await;

    wait_until("all four moved messages", async || {
        let counts = vhost.queue_counts(UNREADABLE).await.unwrap();
        counts.ready == 4
    })
    .await;
    let remove = false;
    let messages = vhost.get_messages(UNREADABLE, 10, remove).await.unwrap();
    assert_eq!(messages.len(), bodies.len());
    for (message, (body, reason)) in messages.iter().zip(bodies) {
        let headers = &message["properties"]["headers"];
        let found = headers["x-forebay-reason"].as_str().unwrap();
        assert!(found.contains(reason), "{found} should contain {reason}");
        assert_eq!(headers["x-forebay-queue"], INTERACTIVE);
        assert_eq!(headers["x-forebay-bytes"], body.len());
        assert!(message["payload_bytes"].as_u64().unwrap() <= 65_536);
    }
    assert_eq!(messages[0]["payload"], "not json");
}
