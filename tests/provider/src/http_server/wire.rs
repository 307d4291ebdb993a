//! The bytes of HTTP/1.1 on one connection. A `Wire` parses requests (RFC 9112), writes bytes, and detects when the
//! client closes the connection.
//!
//! It leaves the order of requests and responses to `http1`, and their contents to the handler.

use std::io;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{
    message::HttpRequest,
    socket::{Socket, reset_on_drop},
};

const HEAD_BYTES_MAX: usize = 64 * 1_024;
const BODY_BYTES_MAX: usize = 64 * 1_024 * 1_024;
const HEADERS_MAX: usize = 64;

/// One connection, and the bytes that were read from it and are not parsed yet.
pub(super) struct Wire {
    socket: Socket,
    buffer: Vec<u8>,
}

impl Wire {
    pub(super) fn new(socket: Socket) -> Self {
        Self {
            socket,
            buffer: Vec::new(),
        }
    }

    /// Returns the next request, and whether the client keeps the connection open for further requests. Returns `None`
    /// if the client has closed the connection after the previous request.
    pub(super) async fn read_request(&mut self) -> io::Result<Option<(HttpRequest, bool)>> {
        let head = loop {
            if let Some(head) = parse_head(&self.buffer)? {
                self.buffer.drain(..head.bytes);
                break head;
            }
            if self.buffer.len() > HEAD_BYTES_MAX {
                return Err(invalid("the head is too long"));
            }
            if self.socket.read_buf(&mut self.buffer).await? == 0 {
                return if self.buffer.is_empty() {
                    Ok(None)
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                };
            }
        };
        let mut request = head.request;
        request.body = match head.body {
            BodyLength::Bytes(bytes) => self.take(bytes).await?,
            BodyLength::Chunked => self.take_chunks().await?,
        };
        Ok(Some((request, head.keep_alive)))
    }

    /// Returns when the client has closed the connection, or has sent more bytes than a request may have. The future may be
    /// dropped before that: the bytes that it has read stay in the buffer.
    pub(super) async fn wait_for_disconnect(&mut self) {
        while self.buffer.len() <= HEAD_BYTES_MAX + BODY_BYTES_MAX {
            match self.socket.read_buf(&mut self.buffer).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }

    /// Writes all bytes. An error means that the client has closed the connection.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes).await
    }

    /// Closes the connection in an orderly way: the client still gets all bytes that were written.
    pub(super) async fn close(mut self) {
        // An error means that the client has closed the connection already.
        let _ = self.socket.shutdown().await;
    }

    /// Closes the connection with a reset (RST).
    pub(super) fn reset(self) {
        reset_on_drop(&self.socket);
    }

    /// Reads until the buffer has this many bytes.
    async fn fill(&mut self, bytes: usize) -> io::Result<()> {
        if bytes > BODY_BYTES_MAX {
            return Err(invalid("the body is too long"));
        }
        while self.buffer.len() < bytes {
            if self.socket.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    /// Removes this many bytes from the connection and returns them.
    async fn take(&mut self, bytes: usize) -> io::Result<Vec<u8>> {
        self.fill(bytes).await?;
        Ok(self.buffer.drain(..bytes).collect())
    }

    /// Reads a chunked body and returns its bytes.
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
                    Err(_) => return Err(invalid("a chunk has no valid size")),
                }
            };
            if body.len().saturating_add(chunk_bytes) > BODY_BYTES_MAX {
                return Err(invalid("the body is too long"));
            }
            self.take(line_bytes).await?;
            // A line break follows each chunk, also the last chunk, which is empty. Clients send no trailers.
            let chunk = self.take(chunk_bytes + 2).await?;
            body.extend_from_slice(&chunk[..chunk_bytes]);
            if chunk_bytes == 0 {
                return Ok(body);
            }
        }
    }
}

/// A request without its body.
struct RequestHead {
    /// The length of the head in bytes.
    bytes: usize,
    request: HttpRequest,
    body: BodyLength,
    /// Whether another request may follow on the connection.
    keep_alive: bool,
}

enum BodyLength {
    Bytes(usize),
    Chunked,
}

/// Parses the head of a request. Returns `None` while the head is incomplete.
fn parse_head(buffer: &[u8]) -> io::Result<Option<RequestHead>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Request::new(&mut headers);
    let bytes = match head.parse(buffer) {
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
    let contains = |name: &str, word: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.is_some_and(|value| value.to_ascii_lowercase().contains(word))
    };
    let body = if contains("transfer-encoding", "chunked") {
        BodyLength::Chunked
    } else {
        let length = headers
            .get("content-length")
            .and_then(|value| value.to_str().ok());
        match length.map_or(Ok(0), str::parse) {
            Ok(bytes) => BodyLength::Bytes(bytes),
            Err(_) => return Err(invalid("content-length is not a number")),
        }
    };
    let keep_alive = head.version == Some(1) && !contains("connection", "close");
    let request = HttpRequest {
        version: Version::HTTP_11,
        method: head.method.unwrap_or_default().to_owned(),
        target: head.path.unwrap_or_default().to_owned(),
        headers,
        body: Vec::new(),
    };
    Ok(Some(RequestHead {
        bytes,
        request,
        body,
        keep_alive,
    }))
}

/// The head of a response. `body_length` is the header that gives the length of the body.
pub(super) fn response_head(
    status: u16,
    headers: &[(String, String)],
    body_length: Option<&str>,
) -> Vec<u8> {
    let reason = StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Scripted");
    let mut head = format!("HTTP/1.1 {status} {reason}\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some(body_length) = body_length {
        head.push_str(&format!("{body_length}\r\n"));
    }
    head.push_str("\r\n");
    head.into_bytes()
}

fn invalid(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
