//! A socket that holds back hyper's own responses.
//!
//! hyper answers a request that it cannot parse with a status and an empty body, and offers no way to change this response.
//! So this socket does not send it. `connection` sends a response with problem details instead.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// No automatic response is longer than this, in bytes.
const RESPONSE_BYTES_MAX: usize = 256;

/// A socket that does not send hyper's own responses.
pub(super) struct AutomaticResponseFilter<S> {
    stream: S,
    /// The status of the response that was held back.
    held_status: Option<u16>,
}

impl<S> AutomaticResponseFilter<S> {
    pub(super) const fn new(stream: S) -> Self {
        Self {
            stream,
            held_status: None,
        }
    }

    /// The socket, and the status of the response that was held back.
    pub(super) fn into_parts(self) -> (S, Option<u16>) {
        (self.stream, self.held_status)
    }
}

/// Finds an automatic response at the end of the bytes that hyper writes: where it begins, and its status.
///
/// hyper closes the connection after such a response, so nothing follows it. No response of the API looks like one: responses
/// of the API with such a status have a body, and line breaks in a body are escaped.
fn find_automatic_response(bytes: &[u8]) -> Option<(usize, u16)> {
    if !bytes.ends_with(b"\r\n\r\n") {
        return None;
    }
    let search_from = bytes.len().saturating_sub(RESPONSE_BYTES_MAX);
    let tail = &bytes[search_from..];
    let start = tail.windows(9).rposition(|window| window == b"HTTP/1.1 ")?;
    let head = std::str::from_utf8(&tail[start..]).ok()?;
    let status = head.get(9..12)?.parse().ok()?;
    let is_empty = head
        .to_ascii_lowercase()
        .contains("\r\ncontent-length: 0\r\n");
    (matches!(status, 400 | 414 | 431) && is_empty).then_some((search_from + start, status))
}

impl<S: AsyncRead + Unpin> AsyncRead for AutomaticResponseFilter<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for AutomaticResponseFilter<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match find_automatic_response(buf) {
            None => Pin::new(&mut self.stream).poll_write(cx, buf),
            Some((0, status)) => {
                self.held_status = Some(status);
                Poll::Ready(Ok(buf.len()))
            }
            // The end of an earlier response is written first.
            Some((start, _)) => Pin::new(&mut self.stream).poll_write(cx, &buf[..start]),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // Before an automatic response, hyper has written all bodies. So the response is the only buffer.
        let mut buffers = bufs.iter().filter(|buffer| !buffer.is_empty());
        match (buffers.next(), buffers.next()) {
            (Some(only), None) => self.poll_write(cx, only),
            _ => Pin::new(&mut self.stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.held_status.is_some() {
            // The response of `connection` follows.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::find_automatic_response;

    #[test]
    fn only_empty_responses_to_unreadable_requests_are_found() {
        let automatic = "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\
            content-length: 0\r\ndate: Mon, 30 Nov 2026 01:00:00 GMT\r\n\r\n";
        let found = find_automatic_response(automatic.as_bytes());
        assert_eq!(found, Some((0, 431)));
        let earlier = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
        let both = format!("{earlier}{automatic}");
        let found = find_automatic_response(both.as_bytes());
        assert_eq!(found, Some((earlier.len(), 431)));
        for other in [
            "",
            "\r\n\r\n",
            "HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 20\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n",
            earlier,
        ] {
            assert_eq!(find_automatic_response(other.as_bytes()), None, "{other}");
        }
    }
}
