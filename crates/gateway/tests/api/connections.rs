//! Tests with clients that are slow, disconnected or too many. The clients are plain TCP sockets.

use std::time::Duration;

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::{sleep, timeout},
};

use crate::fixture::{Fixture, job_in_session, lane_of};

/// The time in which an expected event must happen, even on a busy machine.
const SOON: Duration = Duration::from_secs(30);

/// A time limit that no test reaches, in milliseconds.
const NEVER_MS: u64 = 3_600_000;

/// Reads until the connection ends, with a time limit.
async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes);
    // The server may close the connection or reset it.
    let _ = timeout(SOON, read).await.expect("the connection ends");
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn headers_that_arrive_too_slowly_end_the_connection() {
    // No connection ends because it is idle.
    let gateway = Fixture::with_settings(|settings| {
        settings.head_timeout_ms = 200;
        settings.idle_timeout_ms = NEVER_MS;
    })
    .await;
    let head = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Slow: ";
    let mut first = TcpStream::connect(gateway.address).await.unwrap();
    first.write_all(head).await.unwrap();
    let response = read_to_end(&mut first).await;
    assert!(!response.starts_with("HTTP/1.1 200"), "{response}");
    let mut unused = TcpStream::connect(gateway.address).await.unwrap();
    assert_eq!(read_to_end(&mut unused).await, "");

    // The time of a later request begins with its first byte, and further bytes do not extend it.
    let mut later = used_connection(&gateway).await;
    later.write_all(head).await.unwrap();
    let (mut reading, mut writing) = later.into_split();
    let trickle = async {
        loop {
            let _ = writing.write_all(b"x").await;
            sleep(Duration::from_millis(20)).await;
        }
    };
    let mut response = Vec::new();
    tokio::select! {
        read = timeout(SOON, reading.read_to_end(&mut response)) => {
            let _ = read.expect("the connection ends");
        }
        () = trickle => {}
    }
    let response = String::from_utf8_lossy(&response);
    assert!(response.starts_with("HTTP/1.1 408"), "{response}");
}

#[tokio::test]
async fn an_idle_connection_stays_open_for_longer_than_headers_may_take() {
    let gateway = Fixture::with_settings(|settings| {
        settings.head_timeout_ms = 300;
        settings.idle_timeout_ms = NEVER_MS;
    })
    .await;
    for _ in 0..20 {
        let mut stream = used_connection(&gateway).await;
        sleep(Duration::from_millis(900)).await;
        // On a busy machine the request itself may take too long.
        if healthz(&mut stream).await.is_some() {
            return;
        }
    }
    panic!("no idle connection could be used again");
}

#[tokio::test]
async fn an_idle_connection_ends_without_a_response() {
    let gateway = Fixture::with_settings(|settings| {
        settings.head_timeout_ms = NEVER_MS;
        settings.idle_timeout_ms = 200;
    })
    .await;
    let mut stream = used_connection(&gateway).await;
    assert_eq!(read_to_end(&mut stream).await, "");
}

/// A connection whose first request was answered. On a busy machine a request may take too long.
async fn used_connection(gateway: &Fixture) -> TcpStream {
    for _ in 0..100 {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        if healthz(&mut stream).await.is_some() {
            return stream;
        }
    }
    panic!("no request was answered");
}

/// Requests `/healthz`, and reads the response to its end. `None` if the connection has ended.
async fn healthz(stream: &mut TcpStream) -> Option<()> {
    let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(request).await.ok()?;
    let mut response = Vec::new();
    while !response.ends_with(b"}") {
        let byte = timeout(SOON, stream.read_u8()).await;
        response.push(byte.expect("the server responds").ok()?);
    }
    response.starts_with(b"HTTP/1.1 200").then_some(())
}

#[tokio::test]
async fn a_slow_body_is_answered_with_408() {
    let gateway = Fixture::with_settings(|settings| settings.body_timeout_ms = 200).await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let head =
        b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{\"input\":";
    stream.write_all(head).await.unwrap();
    let response = read_to_end(&mut stream).await;
    assert!(response.starts_with("HTTP/1.1 408"), "response: {response}");
    assert!(
        response.contains("\"body_timeout\""),
        "response: {response}"
    );
    assert_eq!(gateway.live_jobs().await, 0);
}

#[tokio::test]
async fn an_incomplete_body_stores_nothing() {
    let gateway = Fixture::start().await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let head =
        b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{\"input\": \"Hi.\"}";
    stream.write_all(head).await.unwrap();
    stream.shutdown().await.unwrap();
    let response = read_to_end(&mut stream).await;
    assert!(!response.starts_with("HTTP/1.1 2"), "response: {response}");
    assert_eq!(gateway.live_jobs().await, 0);
}

#[tokio::test]
async fn a_large_body_with_expect_continue_is_refused_before_it_is_sent() {
    let gateway = Fixture::start().await;
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let head = b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\nExpect: 100-continue\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let response = read_to_end(&mut stream).await;
    assert!(response.starts_with("HTTP/1.1 413"), "response: {response}");
}

#[tokio::test]
async fn a_client_can_send_the_whole_body_that_is_refused_for_memory() {
    let gateway = Fixture::start().await;
    let memory = &gateway.member.memory;
    let _bodies = memory
        .bodies
        .try_reserve(u64::MAX)
        .expect("the memory is free");
    // With less than half of `small_bodies` free, a large body that holds some of it does not wait.
    let small = memory.small_bodies.total() / 4 * 3;
    let _small = memory
        .small_bodies
        .try_reserve(small)
        .expect("the memory is free");
    // More than the buffers of the connection hold. Many clients read no response before they have sent the whole body.
    let body = vec![b' '; 2 << 20];
    let head = format!(
        "POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_send_buffer_size(64 << 10).unwrap();
    let mut stream = socket.connect(gateway.address).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&body).await.expect("the body is sent");
    let response = read_to_end(&mut stream).await;
    assert!(response.starts_with("HTTP/1.1 503"), "response: {response}");
    assert!(response.contains("\"overloaded\""), "response: {response}");
}

#[tokio::test]
async fn connections_over_the_limit_wait() {
    let gateway = Fixture::with_settings(|settings| settings.connections_max = 1).await;
    let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut first = TcpStream::connect(gateway.address).await.unwrap();
    first.write_all(request).await.unwrap();
    let mut response = [0; 12];
    timeout(SOON, first.read_exact(&mut response))
        .await
        .expect("the server responds")
        .unwrap();
    assert_eq!(&response, b"HTTP/1.1 200");

    let mut second = TcpStream::connect(gateway.address).await.unwrap();
    second.write_all(request).await.unwrap();
    let early = timeout(Duration::from_millis(300), second.read_exact(&mut response)).await;
    assert!(early.is_err(), "a connection over the limit got a response");
    drop(first);
    timeout(SOON, second.read_exact(&mut response))
        .await
        .expect("the server responds")
        .unwrap();
    assert_eq!(&response, b"HTTP/1.1 200");
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_disconnected() {
    let gateway = Fixture::with_settings(|settings| {
        settings.connections_max = 2;
        settings.write_timeout_ms = 200;
    })
    .await;
    let id = gateway.submit_accepted(&job_in_session("s")).await;
    gateway
        .complete(&lane_of("s"), id, &"x".repeat(8 << 20))
        .await;
    // These responses are larger than the socket buffers.
    let mut stalled = TcpStream::connect(gateway.address).await.unwrap();
    let request = "GET /v1/sessions/s HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(8);
    stalled.write_all(request.as_bytes()).await.unwrap();

    // The stalled client and the client that submitted the job use up the limit of two connections.
    let mut others = Vec::new();
    for _ in 0..2 {
        let mut other = TcpStream::connect(gateway.address).await.unwrap();
        other
            .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            .await
            .unwrap();
        others.push(other);
    }
    let mut response = [0; 12];
    timeout(SOON, others[0].read_exact(&mut response))
        .await
        .expect("the server responds")
        .unwrap();
    assert_eq!(&response, b"HTTP/1.1 200");
    let received = read_to_end(&mut stalled).await;
    assert!(
        received.len() < 64 << 20,
        "all responses were sent to a client that reads nothing"
    );
}

#[tokio::test]
async fn an_open_request_does_not_delay_the_stop_past_the_drain_time() {
    let mut gateway = Fixture::with_settings(|settings| settings.drain_ms = 300).await;
    let mut unfinished = TcpStream::connect(gateway.address).await.unwrap();
    unfinished
        .write_all(b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{")
        .await
        .unwrap();
    gateway.submit_accepted(&json!({"input": "Hi."})).await;
    gateway.stop.cancel();
    timeout(SOON, &mut gateway.server)
        .await
        .expect("the server ends")
        .expect("the server does not panic");
    read_to_end(&mut unfinished).await;
    assert!(
        TcpStream::connect(gateway.address).await.is_err(),
        "the gateway still listens"
    );
}

#[tokio::test]
async fn slow_bodies_do_not_block_other_requests() {
    let gateway = Fixture::with_settings(|settings| {
        settings.body_bytes_max = 1_048_576;
    })
    .await;
    let mut slow = Vec::new();
    for length in ["Content-Length: 1000000", "Transfer-Encoding: chunked"] {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        let head = format!("POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\n{length}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    let job = json!({"input": "Hi."});
    let submit = gateway.submit(&job);
    timeout(SOON, submit)
        .await
        .expect("other requests are answered")
        .expect(202);
}
