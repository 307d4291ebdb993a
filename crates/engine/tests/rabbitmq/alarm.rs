//! A memory alarm: the broker stops reading from connections that publish.

use std::time::Duration;

use forebay_shared::{class::Class, queue::Queue};
use servers::rabbit::{Rabbit, RabbitOptions};
use tokio::time::Instant;

use crate::setup::{
    TIMEOUT, connected, consume, next_delivery, publish, publish_error, publish_with_retry,
    wait_for_counts,
};

#[tokio::test]
async fn during_an_alarm_publishes_fail_at_once_and_consuming_continues() {
    let rabbit = Rabbit::start(RabbitOptions::default()).await.unwrap();
    let vhost = rabbit.default_vhost();
    let queue = connected(&rabbit.url(), "worker-1").await;
    let mut consumer = consume(&queue, 2).await;
    for _ in 0..4 {
        publish(&queue, Class::Interactive).await;
    }
    let held = next_delivery(&mut consumer).await;
    rabbit.raise_memory_alarm().await.unwrap();

    // The first publish may wait for its confirm. Later ones fail at once.
    let started = Instant::now();
    publish_error(&queue).await;
    assert!(started.elapsed() < TIMEOUT);
    // If each publish waited for the confirm timeout of 5 s, the 10 publishes would take 50 s.
    let started = Instant::now();
    for _ in 0..10 {
        publish_error(&queue).await;
    }
    assert!(started.elapsed() < Duration::from_secs(25));

    // The consumer still receives messages, and the broker still receives the acks.
    held.ack();
    for _ in 0..3 {
        next_delivery(&mut consumer).await.ack();
    }
    wait_for_counts(&vhost, 0, 0).await;
    assert_eq!(queue.depth(Class::Batch).await.unwrap(), 0);
    assert!(rabbit.alarmed().await.unwrap());

    rabbit.clear_memory_alarm().await.unwrap();
    publish_with_retry(&queue, Class::Batch).await;
}

#[tokio::test]
async fn an_alarm_does_not_delay_the_close_of_a_queue() {
    let rabbit = Rabbit::start(RabbitOptions::default()).await.unwrap();
    let queue = connected(&rabbit.url(), "gateway-1").await;
    rabbit.raise_memory_alarm().await.unwrap();
    publish_error(&queue).await;
    let started = Instant::now();
    queue.close(Duration::from_secs(1)).await;
    // The close takes 5 s at most. The limit here is higher, because the machine may be busy.
    assert!(started.elapsed() < Duration::from_secs(30));
    crate::setup::wait_until("the end of all connections", async || {
        rabbit.connections().await.unwrap().is_empty()
    })
    .await;
}
