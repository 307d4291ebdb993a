//! The setup of the tests: the queue of a process, wakes, and waits with a timeout.

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

/// Longer than any wait that succeeds.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(90);

/// How long a test waits for a delivery that must not come.
pub(crate) const QUIET_PERIOD: Duration = Duration::from_millis(100);

pub(crate) const INTERACTIVE: &str = "forebay.jobs.interactive";
pub(crate) const UNREADABLE: &str = "forebay.unreadable";

/// A new virtual host on the shared node.
pub(crate) async fn vhost() -> Vhost {
    shared().await.unwrap().vhost().await.unwrap()
}

/// A queue that may not be connected yet.
pub(crate) fn new_queue(url: &str, name: &str) -> Arc<RabbitQueue> {
    Arc::new(RabbitQueue::new(url, &QueueSettings::new(name)).unwrap())
}

/// A queue that is connected.
pub(crate) async fn connected(url: &str, name: &str) -> Arc<RabbitQueue> {
    let queue = new_queue(url, name);
    wait_until_connected(&queue).await;
    queue
}

pub(crate) async fn wait_until_connected(queue: &RabbitQueue) {
    wait_until("a connection", async || {
        queue.depth(Class::Batch).await.is_ok()
    })
    .await;
}

/// Polls a condition until the condition is true. `event` names the condition in the error message.
pub(crate) async fn wait_until(event: &str, mut condition: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !condition().await {
        assert!(
            started.elapsed() < TIMEOUT,
            "the test waited too long for {event}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A wake of a new job.
pub(crate) fn new_wake(class: Class) -> Wake {
    let tenant = TenantId::default();
    Wake {
        v: Wake::VERSION,
        job: JobId::fresh(&tenant, None),
        tenant,
        session: None,
        class,
        model: None,
        permit: None,
        admitted_at: TimeMs(1_000),
        sent_at: TimeMs(1_001),
        lane_copy: None,
        traceparent: None,
    }
}

/// Publishes a wake. The first publish must succeed.
pub(crate) async fn publish(queue: &RabbitQueue, class: Class) -> JobId {
    let wake = new_wake(class);
    queue.publish(&wake).await.unwrap();
    wake.job
}

/// Publishes a wake again and again until a publish succeeds.
pub(crate) async fn publish_with_retry(queue: &RabbitQueue, class: Class) -> JobId {
    let wake = new_wake(class);
    wait_until("a publish that succeeds", async || {
        queue.publish(&wake).await.is_ok()
    })
    .await;
    wake.job
}

/// Publishes an interactive wake. The publish must fail with a transient error, whose text is returned.
pub(crate) async fn publish_error(queue: &RabbitQueue) -> String {
    match queue.publish(&new_wake(Class::Interactive)).await {
        Err(QueueError::Unavailable(Some(source))) => source.to_string(),
        other => panic!("the publish should fail as unavailable: {other:?}"),
    }
}

/// Starts a consumer of interactive wakes. Tries again until this succeeds.
pub(crate) async fn consume(queue: &RabbitQueue, unacked_max: usize) -> Box<dyn Consumer> {
    let mut consumer = None;
    wait_until("a consumer", async || {
        consumer = queue.consume(Class::Interactive, unacked_max).await.ok();
        consumer.is_some()
    })
    .await;
    consumer.unwrap()
}

pub(crate) async fn next_delivery(consumer: &mut Box<dyn Consumer>) -> Delivery {
    let next = timeout(TIMEOUT, consumer.next()).await;
    let next = next.expect("no delivery came before the timeout");
    next.expect("the queue is closed")
}

pub(crate) async fn assert_no_delivery(consumer: &mut Box<dyn Consumer>) {
    let next = timeout(QUIET_PERIOD, consumer.next()).await;
    assert!(next.is_err(), "no delivery was expected: {next:?}");
}

/// Waits until the broker reports these numbers of interactive messages.
pub(crate) async fn wait_for_counts(vhost: &Vhost, ready: u64, unacked: u64) {
    wait_until("the broker's counts", async || {
        let counts = vhost.queue_counts(INTERACTIVE).await;
        counts.is_ok_and(|counts| (counts.ready, counts.unacked) == (ready, unacked))
    })
    .await;
}
