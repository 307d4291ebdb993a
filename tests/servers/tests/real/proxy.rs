//! The proxy relays, delays and holds back bytes, and it cuts the network.

use std::time::{Duration, Instant};

use servers::proxy::Proxy;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// The delay of a test, and how long a test waits for bytes that must not arrive.
const SHORT: Duration = Duration::from_millis(200);
const TIMEOUT: Duration = Duration::from_secs(60);

/// Starts a server that sends all bytes back, and returns its port.
async fn start_echo_server() -> anyhow::Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = client.into_split();
                tokio::io::copy(&mut from, &mut to).await
            });
        }
    });
    Ok(port)
}

/// Sends bytes, and reads the same number of bytes.
async fn exchange(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    stream.write_all(bytes).await?;
    let mut answer = vec![0; bytes.len()];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

#[tokio::test]
async fn bytes_and_the_end_of_a_stream_pass() -> anyhow::Result<()> {
    let proxy = Proxy::start(start_echo_server().await?).await?;
    let stream = TcpStream::connect(("127.0.0.1", proxy.port())).await?;
    let (mut from, mut to) = stream.into_split();
    let sent = vec![7; 1_000_000];
    let expected = sent.clone();
    let sending = tokio::spawn(async move {
        to.write_all(&sent).await?;
        to.shutdown().await
    });
    let mut received = Vec::new();
    timeout(TIMEOUT, from.read_to_end(&mut received)).await??;
    sending.await??;
    assert!(received == expected, "the bytes changed on their way");
    Ok(())
}

#[tokio::test]
async fn a_cut_ends_connections_and_refuses_new_ones_until_the_network_is_healed()
-> anyhow::Result<()> {
    let mut proxy = Proxy::start(start_echo_server().await?).await?;
    let address = ("127.0.0.1", proxy.port());
    let mut stream = TcpStream::connect(address).await?;
    assert_eq!(exchange(&mut stream, b"a").await?, b"a");
    proxy.cut().await;
    assert!(
        timeout(TIMEOUT, exchange(&mut stream, b"b"))
            .await?
            .is_err(),
        "the connection is still open"
    );
    assert!(
        TcpStream::connect(address).await.is_err(),
        "the port is still open"
    );
    proxy.heal().await?;
    let mut stream = TcpStream::connect(address).await?;
    assert_eq!(exchange(&mut stream, b"c").await?, b"c");
    Ok(())
}

#[tokio::test]
async fn a_stall_holds_all_bytes_back_and_loses_none() -> anyhow::Result<()> {
    let mut proxy = Proxy::start(start_echo_server().await?).await?;
    let address = ("127.0.0.1", proxy.port());
    let mut old = TcpStream::connect(address).await?;
    assert_eq!(exchange(&mut old, b"a").await?, b"a");
    proxy.stall().await?;
    let mut new = TcpStream::connect(address).await?;
    for stream in [&mut old, &mut new] {
        stream.write_all(b"b").await?;
        assert!(
            timeout(SHORT, stream.read_u8()).await.is_err(),
            "a byte passed the stalled proxy"
        );
    }
    proxy.heal().await?;
    for stream in [&mut old, &mut new] {
        assert_eq!(timeout(TIMEOUT, stream.read_u8()).await??, b'b');
    }
    Ok(())
}

#[tokio::test]
async fn a_delay_applies_to_each_direction() -> anyhow::Result<()> {
    let proxy = Proxy::start(start_echo_server().await?).await?;
    let mut stream = TcpStream::connect(("127.0.0.1", proxy.port())).await?;
    proxy.set_delay(SHORT);
    let started = Instant::now();
    exchange(&mut stream, b"a").await?;
    let elapsed = started.elapsed();
    assert!(
        elapsed >= 2 * SHORT,
        "the bytes arrived after {elapsed:?}, earlier than after two delays"
    );
    Ok(())
}

#[tokio::test]
async fn a_url_is_rewritten_to_the_host_and_port_of_the_proxy() -> anyhow::Result<()> {
    let proxy = Proxy::start(1).await?;
    let port = proxy.port();
    for (url, via) in [
        (
            "redis://127.0.0.1:7000",
            format!("redis://127.0.0.1:{port}"),
        ),
        (
            "rediss://localhost:7000/0",
            format!("rediss://localhost:{port}/0"),
        ),
        (
            "amqp://guest:guest@127.0.0.1:7001/%2F",
            format!("amqp://guest:guest@127.0.0.1:{port}/%2F"),
        ),
        (
            "amqps://u:p@localhost:7001/test-1?heartbeat=10",
            format!("amqps://u:p@localhost:{port}/test-1?heartbeat=10"),
        ),
    ] {
        assert_eq!(proxy.url_via(url)?, via);
    }
    assert!(proxy.url_via("no address").is_err());
    Ok(())
}
