//! A broker that is killed and restarted.

use std::collections::BTreeSet;

use forebay_shared::{
    class::Class,
    queue::{Queue, QueueError},
};
use servers::rabbit::{Rabbit, RabbitOptions};
use tokio::time::Instant;

use crate::setup::{
    TIMEOUT, connected, consume, new_queue, new_wake, next_delivery, publish_error,
    publish_with_retry, wait_for_counts,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn confirmed_and_unacked_messages_are_delivered_again() {
    const HELD: usize = 10;
    let rabbit = Rabbit::start(RabbitOptions::default()).await.unwrap();
    let queue = connected(&rabbit.url(), "worker-1").await;
    let mut consumer = consume(&queue, HELD).await;
    // The task publishes until the broker is killed.
    let (count, mut count_watch) = tokio::sync::watch::channel(0);
    let publishing = tokio::spawn({
        let queue = queue.clone();
        async move {
            let mut confirmed = BTreeSet::new();
            loop {
                let wake = new_wake(Class::Interactive);
                match queue.publish(&wake).await {
                    Ok(()) => confirmed.insert(wake.job),
                    Err(_) => return confirmed,
                };
                count.send_replace(confirmed.len());
            }
        }
    });
    let mut held = Vec::new();
    for _ in 0..HELD {
        held.push(next_delivery(&mut consumer).await);
    }
    let published = count_watch.wait_for(|count| *count >= 3 * HELD);
    assert!(published.await.is_ok(), "a publish failed before the kill");
    rabbit.kill9().await.unwrap();
    let mut confirmed = publishing.await.unwrap();

    // Without a connection a publish fails at once.
    let started = Instant::now();
    assert_eq!(
        publish_error(&queue).await,
        "there is no connection to RabbitMQ"
    );
    assert!(started.elapsed() < TIMEOUT);

    rabbit.restart().await.unwrap();
    confirmed.insert(publish_with_retry(&queue, Class::Interactive).await);
    // The test holds the most unsettled deliveries that the consumer may have, so the broker delivers nothing.
    crate::setup::assert_no_delivery(&mut consumer).await;
    for delivery in held.drain(..) {
        delivery.ack();
    }
    let mut received = BTreeSet::new();
    while !received.is_superset(&confirmed) {
        let delivery = next_delivery(&mut consumer).await;
        received.insert(delivery.wake.job);
        delivery.ack();
    }
    wait_for_counts(&rabbit.default_vhost(), 0, 0).await;
}

#[tokio::test]
async fn a_process_may_start_before_its_broker() {
    let rabbit = Rabbit::start(RabbitOptions {
        management: false,
        tls: None,
    });
    let rabbit = rabbit.await.unwrap();
    rabbit.kill9().await.unwrap();
    let url = format!("{}?connection_timeout=300", rabbit.url());
    let queue = new_queue(&url, "worker-1");
    assert_eq!(
        publish_error(&queue).await,
        "there is no connection to RabbitMQ"
    );
    let consumer = queue.consume(Class::Interactive, 1).await;
    assert!(matches!(consumer.err(), Some(QueueError::Unavailable(_))));
    let depth = queue.depth(Class::Interactive).await;
    assert!(matches!(depth, Err(QueueError::Unavailable(_))));

    rabbit.restart().await.unwrap();
    let job = publish_with_retry(&queue, Class::Interactive).await;
    let mut consumer = consume(&queue, 1).await;
    let delivery = next_delivery(&mut consumer).await;
    assert_eq!(delivery.wake.job, job);
    delivery.ack();
}
