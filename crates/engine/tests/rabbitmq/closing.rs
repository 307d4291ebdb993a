//! The close of a queue, with and without enough time.

use std::time::Duration;

use forebay_shared::{
    class::Class,
    queue::{Queue, QueueError},
};
use servers::rabbit::shared;
use tokio::time::{Instant, timeout};

use crate::setup::{
    TIMEOUT, connected, consume, new_wake, next_delivery, publish, vhost, wait_for_counts,
    wait_until,
};

#[tokio::test]
async fn a_close_waits_for_received_deliveries_and_requeues_prefetched_messages() {
    let vhost = vhost().await;
    let queue = connected(vhost.url(), "worker-1").await;
    let mut consumer = consume(&queue, 5).await;
    for _ in 0..8 {
        publish(&queue, Class::Interactive).await;
    }
    let (first, second) = (
        next_delivery(&mut consumer).await,
        next_delivery(&mut consumer).await,
    );
    wait_for_counts(&vhost, 3, 5).await;

    let mut closing = Box::pin({
        let queue = queue.clone();
        // Longer than the test takes, so only the settled deliveries end the close.
        async move { queue.close(Duration::from_secs(600)).await }
    });
    // One poll starts the close before the checks below.
    assert!(futures_util::poll!(&mut closing).is_pending());
    let closing = tokio::spawn(closing);
    // The close ends the stream of a consumer that waits.
    let ended = timeout(TIMEOUT, consumer.next()).await;
    assert!(ended.expect("the stream did not end in time").is_none());
    drop(consumer);
    wait_for_counts(&vhost, 6, 2).await;
    let refused = queue.publish(&new_wake(Class::Interactive)).await;
    assert!(
        matches!(refused, Err(QueueError::Closed)),
        "unexpected result: {refused:?}"
    );
    let refused = queue.consume(Class::Interactive, 1).await.err();
    assert!(
        matches!(refused, Some(QueueError::Closed)),
        "unexpected result: {refused:?}"
    );

    // The test still holds two deliveries, and the broker still receives their acks.
    assert!(!closing.is_finished());
    first.ack();
    wait_for_counts(&vhost, 6, 1).await;
    second.requeue();
    timeout(TIMEOUT, closing)
        .await
        .expect("the close did not end, although every delivery is settled")
        .unwrap();
    wait_for_counts(&vhost, 7, 0).await;
    wait_until("the end of all connections", async || {
        let connections = shared().await.unwrap().connections().await.unwrap();
        connections
            .iter()
            .all(|connection| connection["vhost"] != vhost.name())
    })
    .await;
}

#[tokio::test]
async fn a_close_ends_at_its_time_limit_and_requeues_received_deliveries() {
    let vhost = vhost().await;
    let queue = connected(vhost.url(), "worker-1").await;
    let mut consumer = consume(&queue, 1).await;
    publish(&queue, Class::Interactive).await;
    let held = next_delivery(&mut consumer).await;
    let started = Instant::now();
    queue.close(Duration::from_millis(200)).await;
    assert!(started.elapsed() < TIMEOUT);
    wait_for_counts(&vhost, 1, 0).await;
    // This ack is too late and has no effect.
    held.ack();
    wait_for_counts(&vhost, 1, 0).await;
}
