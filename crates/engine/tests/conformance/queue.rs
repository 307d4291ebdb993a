//! The queue: every confirmed wake reaches a consumer, and is settled once.

use std::{collections::BTreeSet, time::Duration};

use forebay_shared::{
    class::Class,
    ids::{JobId, TenantId},
    queue::{Consumer, Delivery, Queue, QueueError},
    time::TimeMs,
    wake::Wake,
};
use tokio::time::timeout;

use crate::harness::{Harness, PATIENCE};

/// Long enough for a delivery that must not come to show itself most of the time.
const MOMENT: Duration = Duration::from_millis(50);

/// A wake of a job of its own.
pub(crate) fn wake(class: Class) -> Wake {
    let tenant = TenantId::default();
    Wake {
        v: Wake::VERSION,
        job: JobId::fresh(&tenant, None),
        tenant,
        session: None,
        class,
        model: Some(String::from("simulated")),
        admitted_at: TimeMs(1_000),
        sent_at: TimeMs(1_001),
        traceparent: None,
    }
}

/// Waits until so many wakes wait: a broker may count with a delay.
pub(crate) async fn depth_becomes(queue: &dyn Queue, class: Class, expected: u64) {
    let counted = async {
        while queue.depth(class).await.unwrap() != expected {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let counted = timeout(PATIENCE, counted).await;
    assert!(counted.is_ok(), "the depth should become {expected}");
}

async fn publish(queue: &dyn Queue, class: Class, count: usize) -> Vec<JobId> {
    let mut jobs = Vec::with_capacity(count);
    for _ in 0..count {
        let wake = wake(class);
        queue.publish(&wake).await.unwrap();
        jobs.push(wake.job);
    }
    jobs
}

async fn next(consumer: &mut Box<dyn Consumer>) -> Delivery {
    let next = timeout(PATIENCE, consumer.next()).await;
    let next = next.expect("a delivery should have come");
    next.expect("the queue is open")
}

async fn nothing_comes(consumer: &mut Box<dyn Consumer>) {
    let next = timeout(MOMENT, consumer.next()).await;
    assert!(next.is_err(), "{next:?}");
}

pub(crate) async fn delivers_what_was_published(engine: impl Harness) {
    let queue = engine.queue();
    let sent = wake(Class::Interactive);
    queue.publish(&sent).await.unwrap();
    publish(queue.as_ref(), Class::Interactive, 2).await;
    depth_becomes(queue.as_ref(), Class::Interactive, 3).await;
    let mut consumer = queue.consume(Class::Interactive, 10).await.unwrap();
    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.wake, sent);
    delivery.ack();
    for _ in 0..2 {
        next(&mut consumer).await.ack();
    }
    depth_becomes(queue.as_ref(), Class::Interactive, 0).await;
    nothing_comes(&mut consumer).await;
}

pub(crate) async fn keeps_the_classes_apart(engine: impl Harness) {
    let queue = engine.queue();
    let mut interactive = queue.consume(Class::Interactive, 10).await.unwrap();
    let batch = publish(queue.as_ref(), Class::Batch, 1).await;
    nothing_comes(&mut interactive).await;
    let mut consumer = queue.consume(Class::Batch, 10).await.unwrap();
    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.wake.job, batch[0]);
    delivery.ack();
}

pub(crate) async fn bounds_what_is_unsettled(engine: impl Harness) {
    let queue = engine.queue();
    publish(queue.as_ref(), Class::Interactive, 4).await;
    let mut consumer = queue.consume(Class::Interactive, 2).await.unwrap();
    let (first, second) = (next(&mut consumer).await, next(&mut consumer).await);
    nothing_comes(&mut consumer).await;
    first.ack();
    let third = next(&mut consumer).await;
    nothing_comes(&mut consumer).await;
    second.ack();
    third.ack();
    next(&mut consumer).await.ack();
}

pub(crate) async fn delivers_again_what_was_given_back(engine: impl Harness) {
    let queue = engine.queue();
    let sent = publish(queue.as_ref(), Class::Interactive, 1).await;
    let mut consumer = queue.consume(Class::Interactive, 1).await.unwrap();
    for _ in 0..3 {
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.wake.job, sent[0]);
        delivery.requeue();
    }
    next(&mut consumer).await.ack();
    nothing_comes(&mut consumer).await;
}

pub(crate) async fn delivers_again_what_was_dropped(engine: impl Harness) {
    let queue = engine.queue();
    let sent = publish(queue.as_ref(), Class::Batch, 1).await;
    let mut consumer = queue.consume(Class::Batch, 1).await.unwrap();
    drop(next(&mut consumer).await);
    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.wake.job, sent[0]);
    // And with a whole consumer that goes, to the next one.
    drop((delivery, consumer));
    let mut consumer = queue.consume(Class::Batch, 1).await.unwrap();
    let delivery = next(&mut consumer).await;
    assert_eq!(delivery.wake.job, sent[0]);
    delivery.ack();
}

pub(crate) async fn loses_nothing_when_waiting_is_broken_off(engine: impl Harness) {
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
    let mut got = BTreeSet::new();
    let all = async {
        while got.len() < WAKES {
            // Broken off again and again, at whatever point it has come to.
            if let Ok(delivery) = timeout(Duration::from_micros(700), consumer.next()).await {
                let delivery = delivery.expect("the queue is open");
                got.insert(delivery.wake.job);
                delivery.ack();
            }
        }
    };
    let all = timeout(PATIENCE, all).await;
    assert!(all.is_ok(), "{} of {WAKES} came", got.len());
    assert_eq!(got, sent.await.unwrap());
}

pub(crate) async fn refuses_what_does_not_fit(engine: impl Harness) {
    fn capacity<H: Harness>(_: &H) -> Option<usize> {
        H::QUEUE_CAPACITY
    }
    let Some(capacity) = capacity(&engine) else {
        // Its disk is its bound, and nobody fills that here.
        return;
    };
    let queue = engine.queue();
    let wake = wake(Class::Batch);
    for _ in 0..capacity {
        queue.publish(&wake).await.unwrap();
    }
    let refused = queue.publish(&wake).await;
    assert!(matches!(refused, Err(QueueError::Full)));
    // The other class has room of its own, and room comes back.
    publish(queue.as_ref(), Class::Interactive, 1).await;
    let mut consumer = queue.consume(Class::Batch, 1).await.unwrap();
    next(&mut consumer).await.ack();
    queue.publish(&wake).await.unwrap();
}
