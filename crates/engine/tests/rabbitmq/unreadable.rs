//! Messages that nobody can read.

use forebay_shared::class::Class;
use serde_json::Value;

use crate::scene::{
    INTERACTIVE, UNREADABLE, connected, consume, counts_become, next, nothing_comes, publish,
    until, vhost, wake,
};

#[tokio::test]
async fn are_set_aside_with_their_reason_and_the_consumer_goes_on() {
    let vhost = vhost().await;
    let queue = connected(vhost.url(), "worker-1").await;
    let mut newer = serde_json::to_value(wake(Class::Interactive)).unwrap();
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
    let good = publish(&queue, Class::Interactive).await;

    // One at a time: each has to be out of the way before the next can come.
    let mut consumer = consume(&queue, 1).await;
    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.wake.job, good);
    delivery.ack();
    nothing_comes(&mut consumer).await;
    counts_become(&vhost, 0, 0).await;

    until("all four set aside", async || {
        let counts = vhost.queue_counts(UNREADABLE).await.unwrap();
        counts.ready == 4
    })
    .await;
    let messages = vhost.get_messages(UNREADABLE, 10, false).await.unwrap();
    assert_eq!(messages.len(), bodies.len());
    for (message, (body, reason)) in messages.iter().zip(bodies) {
        let headers = &message["properties"]["headers"];
        let said = headers["x-forebay-reason"].as_str().unwrap();
        assert!(said.contains(reason), "{said} should say {reason}");
        assert_eq!(headers["x-forebay-queue"], INTERACTIVE);
        assert_eq!(headers["x-forebay-bytes"], body.len());
        assert!(message["payload_bytes"].as_u64().unwrap() <= 65_536);
    }
    assert_eq!(messages[0]["payload"], "not json");
}
