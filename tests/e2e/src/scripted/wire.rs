//! HTTP/1.1 by hand over one connection, because faults have to be done to the socket itself.
//!
//! Knows bytes only: requests in (by length or chunked), anything out, and whether the client is
//! still there. What to answer is `connection`'s business.

use std::io;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const HEAD_BYTES_MAX: usize = 64 * 1_024;
const BODY_BYTES_MAX: usize = 64 * 1_024 * 1_024;
const HEADERS_MAX: usize = 64;

/// One connection and what has been read of it but not used.
pub(super) struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// A request as it came.
pub(super) struct RawRequest {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// Whether another request may follow on this connection.
    pub(super) keep_alive: bool,
}

impl Wire {
    pub(super) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::new(),
        })
    }

    /// The next request; `None` when the client has closed the connection between two.
    pub(super) async fn read_request(&mut self) -> io::Result<Option<RawRequest>> {
        let (mut request, length) = loop {
            if let Some((head_bytes, request, length)) = parse_head(&self.buffer)? {
                self.buffer.drain(..head_bytes);
                break (request, length);
            }
            if self.buffer.len() > HEAD_BYTES_MAX {
                return Err(invalid("the head is too long"));
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return if self.buffer.is_empty() {
                    Ok(None)
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                };
            }
        };
        request.body = match length {
            Length::Bytes(bytes) => self.take(bytes).await?,
            Length::Chunked => self.take_chunks().await?,
        };
        Ok(Some(request))
    }

    /// Returns when the client has gone. Safe to drop: what it reads meanwhile is kept.
    pub(super) async fn hung_up(&mut self) {
        while self.buffer.len() <= HEAD_BYTES_MAX + BODY_BYTES_MAX {
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }

    /// Writes all of this, or finds that the client has gone.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Closes in order: what was written still arrives.
    pub(super) async fn close(mut self) {
        // A client that has gone already needs no goodbye.
        let _ = self.stream.shutdown().await;
    }

    /// Closes with a reset (RST) instead of an end.
    pub(super) fn reset(self) {
        // Fails only for a socket that is gone, which the client sees just the same.
        let _ = self.stream.set_zero_linger();
    }

    async fn fill(&mut self, bytes: usize) -> io::Result<()> {
        if bytes > BODY_BYTES_MAX {
            return Err(invalid("the body is too long"));
        }
        while self.buffer.len() < bytes {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    async fn take(&mut self, bytes: usize) -> io::Result<Vec<u8>> {
        self.fill(bytes).await?;
        Ok(self.buffer.drain(..bytes).collect())
    }

    async fn take_chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let (line_bytes, chunk_bytes) = loop {
                match httparse::parse_chunk_size(&self.buffer) {
                    Ok(httparse::Status::Complete((line, chunk))) => {
                        let chunk = usize::try_from(chunk).map_err(io::Error::other)?;
                        break (line, chunk);
                    }
                    Ok(httparse::Status::Partial) => self.fill(self.buffer.len() + 1).await?,
                    Err(_) => return Err(invalid("a chunk's size is none")),
                }
            };
            if body.len().saturating_add(chunk_bytes) > BODY_BYTES_MAX {
                return Err(invalid("the body is too long"));
            }
            self.take(line_bytes).await?;
            // Each chunk, the empty last one too, is followed by an end of line (no trailers come).
            let chunk = self.take(chunk_bytes + 2).await?;
            body.extend_from_slice(&chunk[..chunk_bytes]);
            if chunk_bytes == 0 {
                return Ok(body);
            }
        }
    }
}

enum Length {
    Bytes(usize),
    Chunked,
}

fn parse_head(buffer: &[u8]) -> io::Result<Option<(usize, RawRequest, Length)>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Request::new(&mut headers);
    let head_bytes = match head.parse(buffer) {
        Ok(httparse::Status::Complete(bytes)) => bytes,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(invalid(&error.to_string())),
    };
    let mut headers = HeaderMap::new();
    for header in head.headers.iter() {
        let name = HeaderName::from_bytes(header.name.as_bytes()).map_err(io::Error::other)?;
        let value = HeaderValue::from_bytes(header.value).map_err(io::Error::other)?;
        headers.append(name, value);
    }
    let says = |name: &str, word: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.is_some_and(|value| value.to_ascii_lowercase().contains(word))
    };
    let length = if says("transfer-encoding", "chunked") {
        Length::Chunked
    } else {
        let length = headers
            .get("content-length")
            .and_then(|value| value.to_str().ok());
        match length.map_or(Ok(0), str::parse) {
            Ok(bytes) => Length::Bytes(bytes),
            Err(_) => return Err(invalid("content-length is no number")),
        }
    };
    let keep_alive = head.version == Some(1) && !says("connection", "close");
    let request = RawRequest {
        method: head.method.unwrap_or_default().to_owned(),
        target: head.path.unwrap_or_default().to_owned(),
        keep_alive,
        headers,
        body: Vec::new(),
    };
    Ok(Some((head_bytes, request, length)))
}

/// The head of a response, without the headers that say where its body ends, up to these.
pub(super) fn head(status: u16, headers: &[(String, String)], body_is: &str) -> Vec<u8> {
    let reason = StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Scripted");
    let mut head = format!("HTTP/1.1 {status} {reason}\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("{body_is}\r\n\r\n"));
    head.into_bytes()
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
