//! Publishing and consuming without faults.

use std::{collections::BTreeSet, sync::Arc};

use forebay_shared::{
    class::Class,
    queue::{Delivery, Queue, QueueError},
};
use serde_json::json;
use servers::{
    rabbit::{Rabbit, RabbitOptions, shared},
    tls::Certificates,
};

use crate::setup::{
    INTERACTIVE, UNREADABLE, connected, consume, new_wake, next_delivery, publish,
    publish_with_retry, vhost, wait_for_counts, wait_until,
};
use forebay_engine::distributed::queue::{QueueSettings, RabbitQueue};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_of_many_concurrent_publishes_is_delivered_once() {
    const TASKS: usize = 16;
    const PUBLISHES_PER_TASK: usize = 125;
    let vhost = vhost().await;
    let queue = connected(vhost.url(), "gateway-1").await;
    let mut consumer = consume(&queue, 64).await;
    let mut publishing = tokio::task::JoinSet::new();
    for _ in 0..TASKS {
        let queue = Arc::clone(&queue);
        publishing.spawn(async move {
            let mut jobs = Vec::new();
            for _ in 0..PUBLISHES_PER_TASK {
                jobs.push(publish(&queue, Class::Interactive).await);
            }
            jobs
        });
    }
    // Every third delivery is acknowledged later, so that acks and deliveries have different orders.
    let mut held = Vec::new();
    let mut received = BTreeSet::new();
    for number in 0..TASKS * PUBLISHES_PER_TASK {
        let delivery = next_delivery(&mut consumer).await;
        assert!(
            received.insert(delivery.wake.job),
            "a wake was delivered twice"
        );
        if number % 3 == 0 {
            held.push(delivery);
        } else {
            delivery.ack();
        }
        if held.len() > 20 {
            held.drain(..).rev().for_each(Delivery::ack);
        }
    }
    held.drain(..).for_each(Delivery::ack);
    let sent = publishing.join_all().await;
    assert_eq!(received, sent.into_iter().flatten().collect());
    wait_for_counts(&vhost, 0, 0).await;
}

/// RabbitMQ nacks a publish to a full queue whose policy is to reject further messages.
#[tokio::test]
async fn a_message_that_the_broker_nacks_does_not_count_as_published() {
    let vhost = vhost().await;
    let queue = connected(vhost.url(), "gateway-1").await;
    let management = shared().await.unwrap().management().unwrap();
    let path = format!("/api/policies/{}/bounded", vhost.name());
    let policy = json!({
        "pattern": ".*",
        "definition": {"max-length": 5, "overflow": "reject-publish"},
        "apply-to": "queues",
    });
    management.put(&path, &policy).await.unwrap();
    // A quorum queue takes a few more messages than its limit.
    let mut published = 0;
    let mut refused = None;
    wait_until("a nack", async || {
        match queue.publish(&new_wake(Class::Interactive)).await {
            Ok(()) => published += 1,
            Err(error) => refused = Some(error),
        }
        refused.is_some()
    })
    .await;
    let Some(QueueError::Unavailable(Some(source))) = refused else {
        panic!("not a transient error: {refused:?}");
    };
    assert_eq!(source.to_string(), "RabbitMQ refused the message");
    wait_for_counts(&vhost, published, 0).await;

    // Publishes succeed when the queue has free space.
    vhost.purge(INTERACTIVE).await.unwrap();
    publish_with_retry(&queue, Class::Interactive).await;
    wait_for_counts(&vhost, 1, 0).await;
}

#[tokio::test]
async fn the_management_ui_shows_the_process_names() {
    let vhost = vhost().await;
    let queue = connected(vhost.url(), "worker-7").await;
    let management = shared().await.unwrap().management().unwrap();
    let names = async || -> BTreeSet<String> {
        let connections = shared().await.unwrap().connections().await.unwrap();
        let name = |connection: &serde_json::Value| {
            let name = connection["user_provided_name"].as_str();
            String::from(name.unwrap_or_default())
        };
        connections
            .iter()
            .filter(|connection| connection["vhost"] == vhost.name())
            .map(name)
            .collect()
    };
    // A process that only publishes has one connection.
    let expected = BTreeSet::from([String::from("worker-7 publish")]);
    wait_until("the connection's name", async || names().await == expected).await;

    let _interactive = consume(&queue, 3).await;
    let _batch = queue.consume(Class::Batch, 2).await.unwrap();
    let expected = BTreeSet::from(["worker-7 consume", "worker-7 publish"].map(String::from));
    wait_until("the names of both connections", async || {
        names().await == expected
    })
    .await;
    let path = format!("/api/consumers/{}", vhost.name());
    let expected = BTreeSet::from([
        (String::from("worker-7 interactive"), Some(3)),
        (String::from("worker-7 batch"), Some(2)),
    ]);
    wait_until("the consumers' tags", async || {
        let consumers = management.get(&path).await.unwrap();
        let consumers = consumers.as_array().unwrap();
        let tag_and_prefetch = |consumer: &serde_json::Value| {
            let tag = consumer["consumer_tag"].as_str().unwrap();
            (String::from(tag), consumer["prefetch_count"].as_u64())
        };
        let found: BTreeSet<_> = consumers.iter().map(tag_and_prefetch).collect();
        found == expected
    })
    .await;
}

#[tokio::test]
async fn queues_are_quorum_queues_with_a_high_delivery_limit() {
    let vhost = vhost().await;
    let _queue = connected(vhost.url(), "gateway-1").await;
    let management = shared().await.unwrap().management().unwrap();
    for name in [INTERACTIVE, "forebay.jobs.batch", UNREADABLE] {
        let path = format!("/api/queues/{}/{name}", vhost.name());
        let queue = management.get(&path).await.unwrap();
        assert_eq!(queue["arguments"]["x-queue-type"], "quorum", "queue {name}");
        assert_eq!(
            queue["arguments"]["x-delivery-limit"], 1_000_000,
            "queue {name}"
        );
        assert_eq!(queue["durable"], true, "queue {name}");
    }
}

#[tokio::test]
async fn connects_over_tls_with_a_private_certificate_authority() {
    let certificates = Arc::new(Certificates::new().unwrap());
    let rabbit = Rabbit::start(RabbitOptions {
        management: false,
        tls: Some(Arc::clone(&certificates)),
    });
    let rabbit = rabbit.await.unwrap();
    let mut settings = QueueSettings::new("worker-1");
    settings.ca_file = Some(certificates.ca_file());
    let queue = RabbitQueue::new(&rabbit.url(), &settings).unwrap();
    crate::setup::wait_until_connected(&queue).await;
    let mut consumer = consume(&queue, 1).await;
    let sent = new_wake(Class::Interactive);
    queue.publish(&sent).await.unwrap();
    let delivery = next_delivery(&mut consumer).await;
    assert_eq!(delivery.wake, sent);
    delivery.ack();

    // A process that does not trust the authority cannot connect.
    let error = error_without_the_authority(&rabbit.url()).await;
    assert!(error.contains("no connection"), "unexpected error: {error}");
}

async fn error_without_the_authority(url: &str) -> String {
    let queue = crate::setup::new_queue(url, "worker-2");
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    crate::setup::publish_error(&queue).await
}
