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
async fn waits_for_held_deliveries_and_returns_prefetched_ones() {
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
        async move { queue.close(Duration::from_secs(20)).await }
    });
    // Polled once, so that the close has started before the checks below.
    assert!(futures_util::poll!(&mut closing).is_pending());
    let closing = tokio::spawn(closing);
    // A consumer that waits receives the end.
    let ended = timeout(TIMEOUT, consumer.next()).await;
    assert!(ended.expect("the consumer ends").is_none());
    drop(consumer);
    wait_for_counts(&vhost, 6, 2).await;
    let refused = queue.publish(&new_wake(Class::Interactive)).await;
    assert!(matches!(refused, Err(QueueError::Closed)), "{refused:?}");
    let refused = queue.consume(Class::Interactive, 1).await.err();
    assert!(matches!(refused, Some(QueueError::Closed)), "{refused:?}");

    // The user still holds two deliveries, and the broker gets their acks.
    assert!(!closing.is_finished());
    first.ack();
    wait_for_counts(&vhost, 6, 1).await;
    second.requeue();
    timeout(TIMEOUT, closing)
        .await
        .expect("every delivery is settled")
        .unwrap();
    wait_for_counts(&vhost, 7, 0).await;
    wait_until("no connection", async || {
        let connections = shared().await.unwrap().connections().await.unwrap();
        connections.iter().all(|c| c["vhost"] != vhost.name())
    })
    .await;
}

#[tokio::test]
async fn waits_no_longer_than_its_limit() {
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
