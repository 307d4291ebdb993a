//! A connection of a client: HTTP/1.1 (RFC 9112), one request after another.

use std::net::SocketAddr;

use anyhow::{Context, bail, ensure};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// The most headers of a response.
const HEADERS_MAX: usize = 32;

/// A connection that is kept open between requests.
pub(crate) struct Connection {
    stream: TcpStream,
    /// The bytes of the last response.
    buffer: Vec<u8>,
}

/// A response.
#[derive(Debug)]
pub(crate) struct HttpAnswer<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
}

/// The address in a URL such as `http://127.0.0.1:8080`.
///
/// # Errors
/// If the URL has another form.
pub(crate) fn address(url: &str) -> anyhow::Result<SocketAddr> {
    let address = url.strip_prefix("http://").unwrap_or(url);
    address
        .parse()
        .with_context(|| format!("{url} has no IP address and port"))
}

impl Connection {
    /// Opens a connection.
    ///
    /// # Errors
    /// If the server does not accept it.
    pub(crate) async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(4_096),
        })
    }

    /// Sends the bytes of a request and reads the response.
    ///
    /// # Errors
    /// If the connection fails, or the response has no `Content-Length`.
    pub(crate) async fn exchange(&mut self, request: &[u8]) -> anyhow::Result<HttpAnswer<'_>> {
        self.buffer.clear();
        self.stream.write_all(request).await?;
        let head = loop {
            let read = self.stream.read_buf(&mut self.buffer).await?;
            ensure!(read > 0, "the server closed the connection");
            if let Some(head) = Head::parse(&self.buffer)? {
                break head;
            }
        };
        let end = head.bytes + head.body_bytes;
        while self.buffer.len() < end {
            let read = self.stream.read_buf(&mut self.buffer).await?;
            ensure!(read > 0, "the server closed the connection");
        }
        Ok(HttpAnswer {
            status: head.status,
            body: &self.buffer[head.bytes..end],
        })
    }
}

struct Head {
    status: u16,
    bytes: usize,
    body_bytes: usize,
}

impl Head {
    /// Parses the head; `None` while it is incomplete.
    fn parse(buffer: &[u8]) -> anyhow::Result<Option<Self>> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(bytes) = response.parse(buffer)? else {
            return Ok(None);
        };
        let length = response
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case("content-length"));
        let (Some(length), Some(status)) = (length, response.code) else {
            bail!("a response has no Content-Length");
        };
        Ok(Some(Self {
            status,
            bytes,
            body_bytes: std::str::from_utf8(length.value)?.parse()?,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_parsed_once_it_is_complete() {
        let bytes = b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\n{}";
        let head = Head::parse(bytes).expect("the head is valid");
        let head = head.expect("the head is complete");
        assert_eq!(
            (head.status, &bytes[head.bytes..], head.body_bytes),
            (202, &b"{}"[..], 2)
        );
        let incomplete = Head::parse(&bytes[..30]).expect("the bytes are valid");
        assert!(incomplete.is_none());
        assert!(Head::parse(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
