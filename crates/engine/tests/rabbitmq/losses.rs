//! Messages and queues that go without the broker's going.

use std::sync::Arc;

use forebay_shared::{class::Class, queue::Queue};
use servers::rabbit::shared;

use crate::scene::{
    INTERACTIVE, connected, consume, counts_become, next, publish, publish_at_last, unpublished,
    vhost, wake,
};

/// The confirm of a message without a queue is an ack like any other, and what tells the two apart may
/// come along with the confirm of another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_without_a_queue_is_not_taken_for_sent() {
    const EACH: usize = 20;
    let vhost = vhost().await;
    let queue = connected(vhost.url(), "gateway-1").await;
    let management = shared().await.unwrap().management().unwrap();
    let path = format!("/api/queues/{}/{INTERACTIVE}", vhost.name());
    management.delete(&path).await.unwrap();

    // Among many others that have one. The first returned message ends the generation, and the next
    // declares the queue again: whatever is taken for sent must then be in it.
    let mut publishing = tokio::task::JoinSet::new();
    for n in 0..EACH * 50 {
        let class = if n % 50 == 0 {
            Class::Interactive
        } else {
            Class::Batch
        };
        let queue = Arc::clone(&queue);
        publishing.spawn(async move { (class, queue.publish(&wake(class)).await) });
    }
    let published = publishing.join_all().await;
    let sent = published.iter().filter(|(_, result)| result.is_ok());
    let sent = sent.filter(|(class, _)| *class == Class::Interactive);
    let sent = u64::try_from(sent.count()).unwrap();
    assert!(sent < u64::try_from(EACH).unwrap(), "none was unroutable");

    publish_at_last(&queue, Class::Interactive).await;
    let found = queue.depth(Class::Interactive).await.unwrap();
    assert!(found > sent, "{sent} taken for sent, {} there", found - 1);
}

#[tokio::test]
async fn a_single_message_without_a_queue_is_refused_with_the_reason() {
    let vhost = vhost().await;
    let queue = connected(vhost.url(), "gateway-1").await;
    let management = shared().await.unwrap().management().unwrap();
    let path = format!("/api/queues/{}/{INTERACTIVE}", vhost.name());
    management.delete(&path).await.unwrap();
    assert_eq!(
        unpublished(&queue).await,
        "the queue of a message in the batch does not exist"
    );
    publish_at_last(&queue, Class::Interactive).await;
    counts_become(&vhost, 1, 0).await;
}

#[tokio::test]
async fn a_consumer_whose_queue_was_deleted_goes_on_with_the_new_one() {
    let vhost = vhost().await;
    let queue = connected(vhost.url(), "worker-1").await;
    let mut consumer = consume(&queue, 4).await;
    publish(&queue, Class::Interactive).await;
    let before = next(&mut consumer).await;
    let management = shared().await.unwrap().management().unwrap();
    let path = format!("/api/queues/{}/{INTERACTIVE}", vhost.name());
    management.delete(&path).await.unwrap();
    let job = publish_at_last(&queue, Class::Interactive).await;
    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.wake.job, job);
    delivery.ack();
    // Of a generation that has ended: settled without an effect.
    before.ack();
    counts_become(&vhost, 0, 0).await;
}

#[tokio::test]
async fn a_purge_loses_what_was_ready_and_nothing_else() {
    let vhost = vhost().await;
    let queue = connected(vhost.url(), "worker-1").await;
    let mut consumer = consume(&queue, 1).await;
    for _ in 0..5 {
        publish(&queue, Class::Interactive).await;
    }
    let first = next(&mut consumer).await;
    counts_become(&vhost, 4, 1).await;
    vhost.purge(INTERACTIVE).await.unwrap();
    counts_become(&vhost, 0, 1).await;
    assert_eq!(queue.depth(Class::Interactive).await.unwrap(), 0);
    first.ack();
    let job = publish(&queue, Class::Interactive).await;
    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.wake.job, job);
    delivery.ack();
    counts_become(&vhost, 0, 0).await;
}
