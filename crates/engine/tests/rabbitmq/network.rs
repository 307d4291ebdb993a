//! A network that fails while the broker does not.

use std::time::Duration;

use forebay_shared::{
    class::Class,
    queue::{Delivery, Queue},
};
use servers::{proxy::Proxy, rabbit::shared};
use tokio::{io::AsyncReadExt as _, net::TcpListener, time::Instant, time::timeout};

use crate::scene::{
    PATIENCE, connected, consume, counts_become, next, process, publish, publish_at_last,
    unpublished, vhost,
};

#[tokio::test]
async fn a_cut_is_noticed_at_once_and_outlived() {
    let vhost = vhost().await;
    let port = shared().await.unwrap().port();
    let mut proxy = Proxy::start(port).await.unwrap();
    let url = proxy.url_via(vhost.url()).unwrap();
    let queue = connected(&url, "worker-1").await;
    let mut consumer = consume(&queue, 2).await;
    let job = publish(&queue, Class::Interactive).await;
    let held = next(&mut consumer).await;
    for _round in 0..2 {
        proxy.cut().await;
        let begun = Instant::now();
        unpublished(&queue).await;
        assert!(begun.elapsed() < Duration::from_secs(2));
        proxy.heal().await.unwrap();
        publish_at_last(&queue, Class::Batch).await;
        // The unacked one comes again over the new connection.
        let again = next(&mut consumer).await;
        assert_eq!(again.wake.job, job);
        drop(again);
    }
    held.ack();
    next(&mut consumer).await.ack();
    counts_become(&vhost, 0, 0).await;
}

/// No end of a connection tells of it, only that nothing comes any more.
#[tokio::test]
async fn a_silence_is_noticed_and_outlived() {
    let vhost = vhost().await;
    let port = shared().await.unwrap().port();
    let mut proxy = Proxy::start(port).await.unwrap();
    let url = proxy.url_via(vhost.url()).unwrap();
    let queue = connected(&url, "worker-1").await;
    let mut consumer = consume(&queue, 2).await;
    publish(&queue, Class::Interactive).await;
    next(&mut consumer).await.ack();
    counts_become(&vhost, 0, 0).await;

    proxy.stall().await.unwrap();
    let begun = Instant::now();
    unpublished(&queue).await;
    // The time for a confirm, and some for a busy machine.
    assert!(begun.elapsed() < Duration::from_secs(8));
    let begun = Instant::now();
    unpublished(&queue).await;
    assert!(begun.elapsed() < Duration::from_secs(1), "it is known now");
    // By its heartbeats the consuming connection learns of it too.
    proxy.heal().await.unwrap();
    let job = publish_at_last(&queue, Class::Interactive).await;
    loop {
        let delivery = next(&mut consumer).await;
        let found = delivery.wake.job == job;
        // What was not confirmed may have gone out all the same.
        delivery.ack();
        if found {
            break;
        }
    }
    counts_become(&vhost, 0, 0).await;
}

/// What a process still works on takes its room: prefetched beside that, messages would wait for it while
/// other workers are idle.
#[tokio::test]
async fn after_a_reconnect_only_what_there_is_room_for_is_prefetched() {
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
        held.push(next(&mut consumer).await);
    }
    proxy.cut().await;
    proxy.heal().await.unwrap();
    counts_become(&vhost, 3, 1).await;
    // Acks of a generation that has ended, so they change nothing but the room.
    held.drain(..2).for_each(Delivery::ack);
    counts_become(&vhost, 2, 2).await;
    held.drain(..).for_each(Delivery::ack);
    counts_become(&vhost, 0, 4).await;
    for _ in 0..4 {
        next(&mut consumer).await.ack();
    }
    counts_become(&vhost, 0, 0).await;
}

/// A load balancer whose broker is away accepts and says nothing; and so it may be for hours.
#[tokio::test]
async fn a_peer_that_stays_silent_is_hung_up_on() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let url = format!("amqp://127.0.0.1:{port}?connection_timeout=200");
    let queue = process(&url, "gateway-1");
    for _try in 0..3 {
        let accepted = timeout(PATIENCE, silent.accept()).await;
        let (mut connection, _) = accepted.expect("it tries again").unwrap();
        let mut received = Vec::new();
        let ended = timeout(
            Duration::from_secs(5),
            connection.read_to_end(&mut received),
        )
        .await;
        let ended = ended.expect("the connection was left open");
        if ended.is_ok() {
            assert_eq!(received, b"AMQP\x00\x00\x09\x01");
        }
        unpublished(&queue).await;
    }
    let begun = Instant::now();
    queue.close(Duration::from_secs(1)).await;
    assert!(begun.elapsed() < Duration::from_secs(3));
    assert!(queue.depth(Class::Batch).await.is_err());
}
