//! The end of a process that had time for it.

use std::time::Duration;

use forebay_shared::{
    class::Class,
    queue::{Queue, QueueError},
};
use servers::rabbit::shared;
use tokio::time::{Instant, timeout};

use crate::scene::{connected, consume, counts_become, next, publish, until, vhost, wake};

#[tokio::test]
async fn waits_for_what_was_handed_out_and_gives_the_rest_back() {
    let vhost = vhost().await;
    let queue = connected(vhost.url(), "worker-1").await;
    let mut consumer = consume(&queue, 5).await;
    for _ in 0..8 {
        publish(&queue, Class::Interactive).await;
    }
    let (first, second) = (next(&mut consumer).await, next(&mut consumer).await);
    counts_become(&vhost, 3, 5).await;

    let mut closing = Box::pin({
        let queue = queue.clone();
        async move { queue.close(Duration::from_secs(20)).await }
    });
    // Begun for certain before anything else is looked at.
    assert!(futures_util::poll!(&mut closing).is_pending());
    let closing = tokio::spawn(closing);
    // Whoever waits for more is told that there will be none.
    let ended = timeout(Duration::from_secs(5), consumer.next()).await;
    assert!(ended.expect("the consumer ends").is_none());
    drop(consumer);
    counts_become(&vhost, 6, 2).await;
    let refused = queue.publish(&wake(Class::Interactive)).await;
    assert!(matches!(refused, Err(QueueError::Closed)), "{refused:?}");
    let refused = queue.consume(Class::Interactive, 1).await.err();
    assert!(matches!(refused, Some(QueueError::Closed)), "{refused:?}");

    // Those two are still worked on; their acks get through.
    assert!(!closing.is_finished());
    first.ack();
    counts_become(&vhost, 6, 1).await;
    second.requeue();
    timeout(Duration::from_secs(10), closing)
        .await
        .expect("nothing is unsettled any more")
        .unwrap();
    counts_become(&vhost, 7, 0).await;
    until("no connection", async || {
        let connections = shared().await.unwrap().connections().await.unwrap();
        connections.iter().all(|c| c["vhost"] != vhost.name())
    })
    .await;
}

#[tokio::test]
async fn waits_only_so_long() {
    let vhost = vhost().await;
    let queue = connected(vhost.url(), "worker-1").await;
    let mut consumer = consume(&queue, 1).await;
    publish(&queue, Class::Interactive).await;
    let held = next(&mut consumer).await;
    let begun = Instant::now();
    queue.close(Duration::from_millis(200)).await;
    assert!(begun.elapsed() < Duration::from_secs(4));
    counts_become(&vhost, 1, 0).await;
    // Too late, and without an effect.
    held.ack();
    counts_become(&vhost, 1, 0).await;
}
