//! Queues that are deleted or purged while the broker runs.

use std::sync::Arc;

use forebay_shared::{class::Class, queue::Queue};
use servers::rabbit::shared;

use crate::setup::{
    INTERACTIVE, connected, consume, new_wake, next_delivery, publish, publish_error,
    publish_with_retry, vhost, wait_for_counts,
};

/// RabbitMQ also confirms a message that no queue receives. It returns such a message before the confirm, but the confirm
/// of another message may arrive in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_without_a_queue_does_not_count_as_published() {
    const INTERACTIVE_MESSAGES: usize = 20;
    let vhost = vhost().await;
    let queue = connected(vhost.url(), "gateway-1").await;
    let management = shared().await.unwrap().management().unwrap();
    let path = format!("/api/queues/{}/{INTERACTIVE}", vhost.name());
    management.delete(&path).await.unwrap();

    // Most of these messages have a queue. The first returned message ends the connection, and the next connection
    // declares the deleted queue again. That queue must then hold every message whose publish succeeded.
    let mut publishing = tokio::task::JoinSet::new();
    for number in 0..INTERACTIVE_MESSAGES * 50 {
        let class = if number % 50 == 0 {
            Class::Interactive
        } else {
            Class::Batch
        };
        let queue = Arc::clone(&queue);
        publishing.spawn(async move { (class, queue.publish(&new_wake(class)).await) });
    }
    let published = publishing.join_all().await;
    let confirmed = published
        .iter()
        .filter(|(class, result)| *class == Class::Interactive && result.is_ok());
    let confirmed_count = u64::try_from(confirmed.count()).unwrap();
    assert!(
        confirmed_count < u64::try_from(INTERACTIVE_MESSAGES).unwrap(),
        "RabbitMQ returned no message"
    );

    // This message adds one to the depth.
    publish_with_retry(&queue, Class::Interactive).await;
    let depth = queue.depth(Class::Interactive).await.unwrap();
    assert!(
        depth > confirmed_count,
        "{} of {confirmed_count} published messages are in the queue",
        depth - 1
    );
}

#[tokio::test]
async fn the_publish_of_a_message_without_a_queue_fails_with_the_reason() {
    let vhost = vhost().await;
    let queue = connected(vhost.url(), "gateway-1").await;
    let management = shared().await.unwrap().management().unwrap();
    let path = format!("/api/queues/{}/{INTERACTIVE}", vhost.name());
    management.delete(&path).await.unwrap();
    assert_eq!(
        publish_error(&queue).await,
        "the queue of a message in the batch does not exist"
    );
    publish_with_retry(&queue, Class::Interactive).await;
    wait_for_counts(&vhost, 1, 0).await;
}

#[tokio::test]
async fn a_consumer_continues_after_its_queue_was_deleted() {
    let vhost = vhost().await;
    let queue = connected(vhost.url(), "worker-1").await;
    let mut consumer = consume(&queue, 4).await;
    publish(&queue, Class::Interactive).await;
    let earlier = next_delivery(&mut consumer).await;
    let management = shared().await.unwrap().management().unwrap();
    let path = format!("/api/queues/{}/{INTERACTIVE}", vhost.name());
    management.delete(&path).await.unwrap();
    let job = publish_with_retry(&queue, Class::Interactive).await;
    let delivery = next_delivery(&mut consumer).await;
    assert_eq!(delivery.wake.job, job);
    delivery.ack();
    // This delivery belongs to an ended connection, so its ack has no effect.
    earlier.ack();
    wait_for_counts(&vhost, 0, 0).await;
}

#[tokio::test]
async fn a_purge_deletes_only_messages_that_no_consumer_has_received() {
    let vhost = vhost().await;
    let queue = connected(vhost.url(), "worker-1").await;
    let mut consumer = consume(&queue, 1).await;
    for _ in 0..5 {
        publish(&queue, Class::Interactive).await;
    }
    let first = next_delivery(&mut consumer).await;
    wait_for_counts(&vhost, 4, 1).await;
    vhost.purge(INTERACTIVE).await.unwrap();
    wait_for_counts(&vhost, 0, 1).await;
    assert_eq!(queue.depth(Class::Interactive).await.unwrap(), 0);
    first.ack();
    let job = publish(&queue, Class::Interactive).await;
    let delivery = next_delivery(&mut consumer).await;
    assert_eq!(delivery.wake.job, job);
    delivery.ack();
    wait_for_counts(&vhost, 0, 0).await;
}
