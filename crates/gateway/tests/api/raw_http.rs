//! Sends bytes over TCP, and reads the responses as HTTP.

use std::{net::SocketAddr, time::Duration};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const TIMEOUT: Duration = Duration::from_secs(60);

/// A response, as it arrived.
#[derive(Debug)]
pub(crate) struct RawResponse {
    pub(crate) status: u16,
    /// In lower case.
    pub(crate) head: String,
    pub(crate) body: Value,
}

/// A client that keeps its sending side open.
pub(crate) const KEEP_OPEN: bool = true;
/// A client that ends its sending side after its bytes.
pub(crate) const END_SENDING: bool = false;

/// Sends the bytes and ends the sending side, unless `keep_open`. Reads all responses until the server closes the
/// connection.
pub(crate) async fn exchange(
    address: SocketAddr,
    bytes: &[u8],
    keep_open: bool,
) -> Vec<RawResponse> {
    let stream = TcpStream::connect(address).await;
    let mut stream = stream.expect("the server accepts the connection");
    // The server may close the connection before it has read everything.
    let _ = stream.write_all(bytes).await;
    if !keep_open {
        let _ = stream.shutdown().await;
    }
    let mut received = Vec::new();
    let read = tokio::time::timeout(TIMEOUT, stream.read_to_end(&mut received));
    let read = read
        .await
        .expect("the server closes the connection in time");
    read.expect("the connection is not reset");
    parse_all(&received)
}

/// Parses responses that follow each other.
fn parse_all(mut bytes: &[u8]) -> Vec<RawResponse> {
    let mut responses = Vec::new();
    while let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
        let head = String::from_utf8_lossy(&bytes[..end + 2]).to_lowercase();
        let status = head.get(9..12).and_then(|status| status.parse().ok());
        let length = head.split("\r\ncontent-length: ").nth(1);
        let length = length.and_then(|rest| rest.split("\r\n").next()?.parse().ok());
        let body_end = end + 4 + length.unwrap_or(0);
        responses.push(RawResponse {
            status: status.expect("the status is a number"),
            head,
            body: serde_json::from_slice(&bytes[end + 4..body_end]).unwrap_or_default(),
        });
        bytes = &bytes[body_end..];
    }
    assert!(bytes.is_empty(), "bytes after the last response: {bytes:?}");
    responses
}
