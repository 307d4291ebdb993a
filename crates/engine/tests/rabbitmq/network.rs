//! Network faults while the broker runs.

use std::time::Duration;

use forebay_shared::{
    class::Class,
    queue::{Delivery, Queue},
};
use servers::{proxy::Proxy, rabbit::shared};
use tokio::{io::AsyncReadExt as _, net::TcpListener, time::Instant, time::timeout};

use crate::setup::{
    TIMEOUT, connected, consume, new_queue, next_delivery, publish, publish_error,
    publish_with_retry, vhost, wait_for_counts,
};

#[tokio::test]
async fn a_lost_connection_is_noticed_and_replaced() {
    let vhost = vhost().await;
    let port = shared().await.unwrap().port();
    let mut proxy = Proxy::start(port).await.unwrap();
    let url = proxy.url_via(vhost.url()).unwrap();
    let queue = connected(&url, "worker-1").await;
    let mut consumer = consume(&queue, 2).await;
    let job = publish(&queue, Class::Interactive).await;
    let held = next_delivery(&mut consumer).await;
    for _outage in 0..2 {
        proxy.cut().await;
        let started = Instant::now();
        publish_error(&queue).await;
        assert!(started.elapsed() < TIMEOUT);
        proxy.heal().await.unwrap();
        publish_with_retry(&queue, Class::Batch).await;
        // The new connection delivers the unacked message again.
        let again = next_delivery(&mut consumer).await;
        assert_eq!(again.wake.job, job);
        drop(again);
    }
    held.ack();
    next_delivery(&mut consumer).await.ack();
    wait_for_counts(&vhost, 0, 0).await;
}

/// The connection stays open, but no data arrives.
#[tokio::test]
async fn a_stalled_connection_is_noticed_and_replaced() {
    let vhost = vhost().await;
    let port = shared().await.unwrap().port();
    let mut proxy = Proxy::start(port).await.unwrap();
    let url = proxy.url_via(vhost.url()).unwrap();
    let queue = connected(&url, "worker-1").await;
    let mut consumer = consume(&queue, 2).await;
    publish(&queue, Class::Interactive).await;
    next_delivery(&mut consumer).await.ack();
    wait_for_counts(&vhost, 0, 0).await;

    proxy.stall().await.unwrap();
    let started = Instant::now();
    publish_error(&queue).await;
    assert!(started.elapsed() < TIMEOUT);
    // The connection has ended, so further publishes fail at once.
    // If each publish waited for the confirm timeout of 5 s, the 10 publishes would take 50 s.
    let started = Instant::now();
    for _ in 0..10 {
        publish_error(&queue).await;
    }
    assert!(started.elapsed() < Duration::from_secs(25));
    // The connection that consumes detects the stall because no heartbeats arrive.
    proxy.heal().await.unwrap();
    let job = publish_with_retry(&queue, Class::Interactive).await;
    loop {
        let delivery = next_delivery(&mut consumer).await;
        let is_expected = delivery.wake.job == job;
        // The broker may have received the unconfirmed messages too.
        delivery.ack();
        if is_expected {
            break;
        }
    }
    wait_for_counts(&vhost, 0, 0).await;
}

/// Each unsettled delivery takes one permit of its consumer. After a reconnect, the process must not prefetch messages for
/// permits that are still taken. Such messages would wait in this process while other workers are idle.
#[tokio::test]
async fn after_a_reconnect_the_prefetch_is_the_number_of_free_permits() {
    let vhost = vhost().await;
    let port = shared().await.unwrap().port();
    let mut proxy = Proxy::start(port).await.unwrap();
    let url = proxy.url_via(vhost.url()).unwrap();
    let queue = connected(&url, "worker-1").await;
    let mut consumer = consume(&queue, 4).await;
    for _ in 0..4 {
        publish(&queue, Class::Interactive).await;
    }
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(next_delivery(&mut consumer).await);
    }
    proxy.cut().await;
    proxy.heal().await.unwrap();
    wait_for_counts(&vhost, 3, 1).await;
    // Acks of an ended connection have no effect at the broker, but they release permits.
    held.drain(..2).for_each(Delivery::ack);
    wait_for_counts(&vhost, 2, 2).await;
    held.drain(..).for_each(Delivery::ack);
    wait_for_counts(&vhost, 0, 4).await;
    for _ in 0..4 {
        next_delivery(&mut consumer).await.ack();
    }
    wait_for_counts(&vhost, 0, 0).await;
}

/// A load balancer whose broker is down may accept a connection and then send nothing for hours.
#[tokio::test]
async fn the_connection_to_a_silent_peer_is_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = format!("amqp://127.0.0.1:{port}?connection_timeout=200");
    let queue = new_queue(&url, "gateway-1");
    for _connection in 0..3 {
        let accepted = timeout(TIMEOUT, listener.accept()).await;
        let (mut connection, _) = accepted.expect("the queue did not connect again").unwrap();
        let mut received = Vec::new();
        let ended = timeout(TIMEOUT, connection.read_to_end(&mut received)).await;
        let ended = ended.expect("the queue did not close the connection");
        if ended.is_ok() {
            // These bytes begin every connection of AMQP 0-9-1.
            assert_eq!(received, b"AMQP\x00\x00\x09\x01");
        }
        publish_error(&queue).await;
    }
    let started = Instant::now();
    queue.close(Duration::from_secs(1)).await;
    assert!(started.elapsed() < TIMEOUT);
    assert!(queue.depth(Class::Batch).await.is_err());
}
