//! A process that uses the queue, and what the tests do with it.

use std::{sync::Arc, time::Duration};

use forebay_engine::distributed::queue::{QueueSettings, RabbitQueue};
use forebay_shared::{
    class::Class,
    ids::{JobId, TenantId},
    queue::{Consumer, Delivery, Queue, QueueError},
    time::TimeMs,
    wake::Wake,
};
use servers::rabbit::{Vhost, shared};
use tokio::time::{Instant, timeout};

/// Longer than anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Long enough for a delivery that must not come to show itself most of the time.
pub(crate) const MOMENT: Duration = Duration::from_millis(100);

pub(crate) const INTERACTIVE: &str = "forebay.jobs.interactive";
pub(crate) const UNREADABLE: &str = "forebay.unreadable";

/// A virtual host of its own on the shared node.
pub(crate) async fn vhost() -> Vhost {
    shared().await.unwrap().vhost().await.unwrap()
}

/// A process that is not connected yet.
pub(crate) fn process(url: &str, name: &str) -> Arc<RabbitQueue> {
    Arc::new(RabbitQueue::new(url, &QueueSettings::new(name)).unwrap())
}

/// A process that can publish.
pub(crate) async fn connected(url: &str, name: &str) -> Arc<RabbitQueue> {
    let queue = process(url, name);
    until_connected(&queue).await;
    queue
}

pub(crate) async fn until_connected(queue: &RabbitQueue) {
    until("a connection", async || {
        queue.depth(Class::Batch).await.is_ok()
    })
    .await;
}

/// Asks again and again until it is so.
pub(crate) async fn until(what: &str, mut so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !so().await {
        assert!(begun.elapsed() < PATIENCE, "waited too long for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A wake of a job of its own.
pub(crate) fn wake(class: Class) -> Wake {
    let tenant = TenantId::default();
    Wake {
        v: Wake::VERSION,
        job: JobId::fresh(&tenant, None),
        tenant,
        session: None,
        class,
        model: None,
        admitted_at: TimeMs(1_000),
        sent_at: TimeMs(1_001),
        traceparent: None,
    }
}

/// Publishes one, which must succeed.
pub(crate) async fn publish(queue: &RabbitQueue, class: Class) -> JobId {
    let wake = wake(class);
    queue.publish(&wake).await.unwrap();
    wake.job
}

/// Publishes until it succeeds.
pub(crate) async fn publish_at_last(queue: &RabbitQueue, class: Class) -> JobId {
    let wake = wake(class);
    until("a publish that succeeds", async || {
        queue.publish(&wake).await.is_ok()
    })
    .await;
    wake.job
}

/// Publishes one, which must fail as something that may be tried again; says why it failed.
pub(crate) async fn unpublished(queue: &RabbitQueue) -> String {
    match queue.publish(&wake(Class::Interactive)).await {
        Err(QueueError::Unavailable(Some(source))) => source.to_string(),
        other => panic!("not refused for now: {other:?}"),
    }
}

pub(crate) async fn consume(queue: &RabbitQueue, unacked_max: usize) -> Box<dyn Consumer> {
    let mut consumer = None;
    until("a consumer", async || {
        consumer = queue.consume(Class::Interactive, unacked_max).await.ok();
        consumer.is_some()
    })
    .await;
    consumer.unwrap()
}

pub(crate) async fn next(consumer: &mut Box<dyn Consumer>) -> Delivery {
    let next = timeout(PATIENCE, consumer.next()).await;
    let next = next.expect("a delivery should have come");
    next.expect("the queue is open")
}

pub(crate) async fn nothing_comes(consumer: &mut Box<dyn Consumer>) {
    let next = timeout(MOMENT, consumer.next()).await;
    assert!(next.is_err(), "{next:?}");
}

/// Waits until the broker counts so many messages of interactive jobs.
pub(crate) async fn counts_become(vhost: &Vhost, ready: u64, unacked: u64) {
    until("the broker's counts", async || {
        let counts = vhost.queue_counts(INTERACTIVE).await;
        counts.is_ok_and(|c| (c.ready, c.unacked) == (ready, unacked))
    })
    .await;
}
