//! The queue: consumers receive every confirmed wake, within their bounds, and again if it is requeued.

use std::{collections::BTreeSet, time::Duration};

use forebay_shared::{
    class::Class,
    ids::{JobId, TenantId},
    queue::{Consumer, Delivery, Queue, QueueError},
    time::TimeMs,
    wake::Wake,
};
use tokio::time::timeout;

use crate::harness::{Harness, TIMEOUT};

/// How long a test waits for a delivery that must not come.
const QUIET_PERIOD: Duration = Duration::from_millis(50);

/// A wake of a new job.
pub(crate) fn new_wake(class: Class) -> Wake {
    let tenant = TenantId::default();
    Wake {
        v: Wake::VERSION,
        job: JobId::fresh(&tenant, None),
        tenant,
        session: None,
        class,
        model: Some(String::from("simulated")),
        permit: None,
        admitted_at: TimeMs(1_000),
        sent_at: TimeMs(1_001),
        lane_copy: None,
        traceparent: None,
    }
}

/// Waits until the queue reports this depth. A broker may report a change with a delay.
pub(crate) async fn wait_for_depth(queue: &dyn Queue, class: Class, expected: u64) {
    let counted = async {
        while queue.depth(class).await.unwrap() != expected {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let counted = timeout(TIMEOUT, counted).await;
    assert!(counted.is_ok(), "the depth should become {expected}");
}

async fn publish(queue: &dyn Queue, class: Class, count: usize) -> Vec<JobId> {
    let mut jobs = Vec::with_capacity(count);
    for _ in 0..count {
        let wake = new_wake(class);
        queue.publish(&wake).await.unwrap();
        jobs.push(wake.job);
    }
    jobs
}

async fn next_delivery(consumer: &mut Box<dyn Consumer>) -> Delivery {
    let next = timeout(TIMEOUT, consumer.next()).await;
    let next = next.expect("no delivery came before the timeout");
    next.expect("the queue is closed")
}

async fn assert_no_delivery(consumer: &mut Box<dyn Consumer>) {
    let next = timeout(QUIET_PERIOD, consumer.next()).await;
    assert!(next.is_err(), "no delivery was expected: {next:?}");
}

pub(crate) async fn delivers_published_wakes(engine: impl Harness) {
    let queue = engine.queue();
    let sent = new_wake(Class::Interactive);
    queue.publish(&sent).await.unwrap();
    publish(queue.as_ref(), Class::Interactive, 2).await;
    wait_for_depth(queue.as_ref(), Class::Interactive, 3).await;
    let mut consumer = queue.consume(Class::Interactive, 10).await.unwrap();
    let delivery = next_delivery(&mut consumer).await;
    assert_eq!(delivery.wake, sent);
    delivery.ack();
    for _ in 0..2 {
        next_delivery(&mut consumer).await.ack();
    }
    wait_for_depth(queue.as_ref(), Class::Interactive, 0).await;
    assert_no_delivery(&mut consumer).await;
}

pub(crate) async fn delivers_a_wake_to_consumers_of_its_class_only(engine: impl Harness) {
    let queue = engine.queue();
    let mut interactive = queue.consume(Class::Interactive, 10).await.unwrap();
    let batch = publish(queue.as_ref(), Class::Batch, 1).await;
    assert_no_delivery(&mut interactive).await;
    let mut consumer = queue.consume(Class::Batch, 10).await.unwrap();
    let delivery = next_delivery(&mut consumer).await;
    assert_eq!(delivery.wake.job, batch[0]);
    delivery.ack();
}

pub(crate) async fn bounds_unsettled_deliveries(engine: impl Harness) {
    let queue = engine.queue();
    publish(queue.as_ref(), Class::Interactive, 4).await;
    let mut consumer = queue.consume(Class::Interactive, 2).await.unwrap();
    let (first, second) = (
        next_delivery(&mut consumer).await,
        next_delivery(&mut consumer).await,
    );
    assert_no_delivery(&mut consumer).await;
    first.ack();
    let third = next_delivery(&mut consumer).await;
    assert_no_delivery(&mut consumer).await;
    second.ack();
    third.ack();
    next_delivery(&mut consumer).await.ack();
}

pub(crate) async fn delivers_a_requeued_wake_again(engine: impl Harness) {
    let queue = engine.queue();
    let sent = publish(queue.as_ref(), Class::Interactive, 1).await;
    let mut consumer = queue.consume(Class::Interactive, 1).await.unwrap();
    for _ in 0..3 {
        let delivery = next_delivery(&mut consumer).await;
        assert_eq!(delivery.wake.job, sent[0]);
        delivery.requeue();
    }
    next_delivery(&mut consumer).await.ack();
    assert_no_delivery(&mut consumer).await;
}

pub(crate) async fn delivers_the_wake_of_a_dropped_delivery_again(engine: impl Harness) {
    let queue = engine.queue();
    let sent = publish(queue.as_ref(), Class::Batch, 1).await;
    let mut consumer = queue.consume(Class::Batch, 1).await.unwrap();
    drop(next_delivery(&mut consumer).await);
    let delivery = next_delivery(&mut consumer).await;
    assert_eq!(delivery.wake.job, sent[0]);
    // When a consumer and its delivery are dropped, the next consumer receives the wake.
    drop((delivery, consumer));
    let mut consumer = queue.consume(Class::Batch, 1).await.unwrap();
    let delivery = next_delivery(&mut consumer).await;
    assert_eq!(delivery.wake.job, sent[0]);
    delivery.ack();
}

pub(crate) async fn loses_no_wake_when_next_is_dropped(engine: impl Harness) {
    const WAKES: usize = 50;
    let queue = engine.queue();
    let mut consumer = queue.consume(Class::Interactive, WAKES).await.unwrap();
    let publisher = queue.clone();
    let sent = tokio::spawn(async move {
        let mut sent = BTreeSet::new();
        for _ in 0..WAKES {
            sent.extend(publish(publisher.as_ref(), Class::Interactive, 1).await);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        sent
    });
    let mut received = BTreeSet::new();
    let all = async {
        while received.len() < WAKES {
            // The timeout drops the future again and again, at different points.
            if let Ok(delivery) = timeout(Duration::from_micros(700), consumer.next()).await {
                let delivery = delivery.expect("the queue is closed");
                received.insert(delivery.wake.job);
                delivery.ack();
            }
        }
    };
    let all = timeout(TIMEOUT, all).await;
    assert!(all.is_ok(), "{} of {WAKES} were delivered", received.len());
    assert_eq!(received, sent.await.unwrap());
}

pub(crate) async fn refuses_wakes_beyond_its_capacity(engine: impl Harness) {
    fn capacity<H: Harness>(_: &H) -> Option<usize> {
        H::QUEUE_CAPACITY
    }
    let Some(capacity) = capacity(&engine) else {
        // Only the disk limits this queue.
        return;
    };
    let queue = engine.queue();
    let wake = new_wake(Class::Batch);
    for _ in 0..capacity {
        queue.publish(&wake).await.unwrap();
    }
    let refused = queue.publish(&wake).await;
    assert!(matches!(refused, Err(QueueError::Full)));
    // The other class has a capacity of its own. A settled wake frees capacity for the next one.
    publish(queue.as_ref(), Class::Interactive, 1).await;
    let mut consumer = queue.consume(Class::Batch, 1).await.unwrap();
    next_delivery(&mut consumer).await.ack();
    queue.publish(&wake).await.unwrap();
}
