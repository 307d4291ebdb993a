//! Publishing and consuming without faults.

use std::{collections::BTreeSet, sync::Arc};

use forebay_shared::{
    class::Class,
    queue::{Delivery, Queue},
};
use servers::{
    rabbit::{Rabbit, RabbitOptions, shared},
    tls::Certificates,
};

use crate::setup::{
    INTERACTIVE, UNREADABLE, connected, consume, new_wake, next_delivery, publish, vhost,
    wait_for_counts, wait_until,
};
use forebay_engine::distributed::queue::{QueueSettings, RabbitQueue};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_publishes_are_each_delivered_once() {
    const TASKS: usize = 16;
    const EACH: usize = 125;
    let vhost = vhost().await;
    let queue = connected(vhost.url(), "gateway-1").await;
    let mut consumer = consume(&queue, 64).await;
    let mut publishing = tokio::task::JoinSet::new();
    for _ in 0..TASKS {
        let queue = Arc::clone(&queue);
        publishing.spawn(async move {
            let mut jobs = Vec::new();
            for _ in 0..EACH {
                jobs.push(publish(&queue, Class::Interactive).await);
            }
            jobs
        });
    }
    // Some are held for a while, so that acks come out of order and in batches.
    let mut held = Vec::new();
    let mut got = BTreeSet::new();
    for n in 0..TASKS * EACH {
        let delivery = next_delivery(&mut consumer).await;
        assert!(got.insert(delivery.wake.job), "delivered twice");
        if n % 3 == 0 {
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
    assert_eq!(got, sent.into_iter().flatten().collect());
    wait_for_counts(&vhost, 0, 0).await;
}

#[tokio::test]
async fn the_management_ui_shows_the_process_names() {
    let vhost = vhost().await;
    let queue = connected(vhost.url(), "worker-7").await;
    let management = shared().await.unwrap().management().unwrap();
    let names = async || -> BTreeSet<String> {
        let connections = shared().await.unwrap().connections().await.unwrap();
        let of_test = connections.iter().filter(|c| c["vhost"] == vhost.name());
        of_test
            .map(|c| String::from(c["user_provided_name"].as_str().unwrap_or_default()))
            .collect()
    };
    // A process that only publishes has one connection.
    let one = BTreeSet::from([String::from("worker-7 publish")]);
    wait_until("the connection's name", async || names().await == one).await;

    let _interactive = consume(&queue, 3).await;
    let _batch = queue.consume(Class::Batch, 2).await.unwrap();
    let two = BTreeSet::from(["worker-7 consume", "worker-7 publish"].map(String::from));
    wait_until("both names", async || names().await == two).await;
    let path = format!("/api/consumers/{}", vhost.name());
    let expected = BTreeSet::from([
        (String::from("worker-7 interactive"), Some(3)),
        (String::from("worker-7 batch"), Some(2)),
    ]);
    wait_until("the consumers' tags", async || {
        let consumers = management.get(&path).await.unwrap();
        let consumers = consumers.as_array().unwrap();
        let tag = |c: &serde_json::Value| String::from(c["consumer_tag"].as_str().unwrap());
        let seen = consumers
            .iter()
            .map(|c| (tag(c), c["prefetch_count"].as_u64()));
        seen.collect::<BTreeSet<_>>() == expected
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
        assert_eq!(queue["arguments"]["x-queue-type"], "quorum", "{name}");
        assert_eq!(queue["arguments"]["x-delivery-limit"], 1_000_000, "{name}");
        assert_eq!(queue["durable"], true, "{name}");
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
    assert!(error.contains("no connection"), "{error}");
}

async fn error_without_the_authority(url: &str) -> String {
    let queue = crate::setup::new_queue(url, "worker-2");
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    crate::setup::publish_error(&queue).await
}
