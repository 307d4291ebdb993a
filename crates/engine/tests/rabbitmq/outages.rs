//! A broker that is killed and comes back.

use std::{collections::BTreeSet, time::Duration};

use forebay_shared::{
    class::Class,
    queue::{Queue, QueueError},
};
use servers::rabbit::{Rabbit, RabbitOptions};
use tokio::time::Instant;

use crate::scene::{
    connected, consume, counts_become, next, process, publish_at_last, unpublished, wake,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_confirmed_and_not_acked_comes_again() {
    const HELD: usize = 10;
    let rabbit = Rabbit::start(RabbitOptions::default()).await.unwrap();
    let queue = connected(&rabbit.url(), "worker-1").await;
    let mut consumer = consume(&queue, HELD).await;
    // Publishes without a pause until the broker is gone.
    let (count, mut counted) = tokio::sync::watch::channel(0);
    let publishing = tokio::spawn({
        let queue = queue.clone();
        async move {
            let mut confirmed = BTreeSet::new();
            loop {
                let wake = wake(Class::Interactive);
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
        held.push(next(&mut consumer).await);
    }
    let published = counted.wait_for(|count| *count >= 3 * HELD);
    assert!(published.await.is_ok(), "publishing ended before the kill");
    rabbit.kill9().await.unwrap();
    let mut confirmed = publishing.await.unwrap();

    // Without a broker a publish fails at once.
    let begun = Instant::now();
    assert_eq!(
        unpublished(&queue).await,
        "there is no connection to RabbitMQ"
    );
    assert!(begun.elapsed() < Duration::from_secs(1));

    rabbit.restart().await.unwrap();
    confirmed.insert(publish_at_last(&queue, Class::Interactive).await);
    // Nothing new is handed out while what was held before fills the bound.
    crate::scene::nothing_comes(&mut consumer).await;
    for delivery in held.drain(..) {
        delivery.ack();
    }
    let mut got = BTreeSet::new();
    while !got.is_superset(&confirmed) {
        let delivery = next(&mut consumer).await;
        got.insert(delivery.wake.job);
        delivery.ack();
    }
    counts_become(&rabbit.default_vhost(), 0, 0).await;
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
    let queue = process(&url, "worker-1");
    assert_eq!(
        unpublished(&queue).await,
        "there is no connection to RabbitMQ"
    );
    let consumer = queue.consume(Class::Interactive, 1).await;
    assert!(matches!(consumer.err(), Some(QueueError::Unavailable(_))));
    let depth = queue.depth(Class::Interactive).await;
    assert!(matches!(depth, Err(QueueError::Unavailable(_))));

    rabbit.restart().await.unwrap();
    let job = publish_at_last(&queue, Class::Interactive).await;
    let mut consumer = consume(&queue, 1).await;
    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.wake.job, job);
    delivery.ack();
}
