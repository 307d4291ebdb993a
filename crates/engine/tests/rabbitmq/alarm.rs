//! A broker that runs short of memory: it reads nothing more from those who publish.

use std::time::Duration;

use forebay_shared::{class::Class, queue::Queue};
use servers::rabbit::{Rabbit, RabbitOptions};
use tokio::time::Instant;

use crate::scene::{
    connected, consume, counts_become, next, publish, publish_at_last, unpublished,
};

#[tokio::test]
async fn holds_up_nobody_and_passes() {
    let rabbit = Rabbit::start(RabbitOptions::default()).await.unwrap();
    let vhost = rabbit.default_vhost();
    let queue = connected(&rabbit.url(), "worker-1").await;
    let mut consumer = consume(&queue, 2).await;
    for _ in 0..4 {
        publish(&queue, Class::Interactive).await;
    }
    let held = next(&mut consumer).await;
    rabbit.raise_memory_alarm().await.unwrap();

    // The first may have to wait for its confirm, the next ones not even for that.
    let begun = Instant::now();
    unpublished(&queue).await;
    assert!(begun.elapsed() < Duration::from_secs(8));
    let begun = Instant::now();
    let why = unpublished(&queue).await;
    assert!(begun.elapsed() < Duration::from_millis(500), "{why}");

    // Consuming goes on, and its acks get through.
    held.ack();
    for _ in 0..3 {
        next(&mut consumer).await.ack();
    }
    counts_become(&vhost, 0, 0).await;
    assert_eq!(queue.depth(Class::Batch).await.unwrap(), 0);
    assert!(rabbit.alarmed().await.unwrap());

    let cleared = Instant::now();
    rabbit.clear_memory_alarm().await.unwrap();
    publish_at_last(&queue, Class::Batch).await;
    assert!(cleared.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn does_not_hold_up_the_end_of_the_process() {
    let rabbit = Rabbit::start(RabbitOptions::default()).await.unwrap();
    let queue = connected(&rabbit.url(), "gateway-1").await;
    rabbit.raise_memory_alarm().await.unwrap();
    unpublished(&queue).await;
    let begun = Instant::now();
    queue.close(Duration::from_secs(1)).await;
    assert!(begun.elapsed() < Duration::from_secs(4));
    // And it leaves nothing behind.
    crate::scene::until("no connection", async || {
        rabbit.connections().await.unwrap().is_empty()
    })
    .await;
}
