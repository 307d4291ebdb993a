//! The response to bytes that hyper cannot read as a request.

use std::time::Duration;

use axum::{
    body::Body,
    http::{HeaderMap, StatusCode},
    response::IntoResponse,
};
use http_body_util::BodyExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use forebay_telemetry::RequestId;

use crate::{
    problem::{Problem, RequestPart},
    problem_code::ProblemCode,
    request_id, security_headers,
};

/// The limits on reading what the client still sends. If it were not read, the client might not see the response.
const DISCARD_BYTES_MAX: usize = 1024 * 1024;
const DISCARD_TIME: Duration = Duration::from_secs(1);

/// The name of the request line in errors.
const REQUEST_LINE: &str = "request line";

/// What is known about bytes that are not a request.
pub(super) struct UnreadableRequest<'a> {
    /// The error of hyper.
    pub(super) error: &'a hyper::Error,
    /// The status that hyper has chosen, if it has chosen one.
    pub(super) status: Option<u16>,
    /// The bytes of the request that have arrived so far.
    pub(super) bytes: &'a [u8],
    /// The most bytes of a request before its body.
    pub(super) head_bytes_max: usize,
}

impl UnreadableRequest<'_> {
    /// The problem to answer with. `None` for an idle connection, and for errors after which nothing can be answered.
    pub(super) fn problem(&self) -> Option<Problem> {
        let problem = if self.error.is_timeout() {
            if self.bytes.is_empty() {
                // An idle connection.
                return None;
            }
            let detail = "the request line and all headers did not arrive in time";
            Problem::new(ProblemCode::RequestTimeout, detail)
        } else if self.error.is_parse_too_large() {
            self.too_large()
        } else if self.error.is_parse() {
            let (field, message) = malformed_part(&self.error.to_string());
            Problem::with_field_error(ProblemCode::InvalidHttp, part_of(field), field, message)
        } else if self.error.is_incomplete_message() && !self.bytes.is_empty() {
            let message = "the connection ended before the end of the headers";
            Problem::with_field_error(
                ProblemCode::InvalidHttp,
                RequestPart::Header,
                "headers",
                message,
            )
        } else {
            return None;
        };
        Some(problem.closing_connection())
    }

    fn too_large(&self) -> Problem {
        let bytes_max = self.head_bytes_max;
        // hyper reports a request line that fills its buffer like headers that are too large. Then no line has
        // ended in the bytes.
        let is_request_line = self.status == Some(StatusCode::URI_TOO_LONG.as_u16())
            || (self.bytes.len() >= bytes_max / 2 && !self.bytes.contains(&b'\n'));
        if is_request_line {
            let message = format!(
                "must be shorter: the request line and all headers may have {bytes_max} bytes"
            );
            return Problem::with_field_error(
                ProblemCode::UriTooLong,
                RequestPart::RequestLine,
                REQUEST_LINE,
                message,
            );
        }
        let message = format!(
            "must be at most 100 headers, and together with the request line at most {bytes_max} bytes"
        );
        Problem::with_field_error(
            ProblemCode::HeadersTooLarge,
            RequestPart::Header,
            "headers",
            message,
        )
    }
}

fn part_of(field: &str) -> RequestPart {
    match field {
        REQUEST_LINE => RequestPart::RequestLine,
        _ => RequestPart::Header,
    }
}

/// Which part of a request an error of hyper is about, and what it must be.
fn malformed_part(error: &str) -> (&'static str, String) {
    // The first word that the error contains decides.
    let parts = [
        (
            "method",
            REQUEST_LINE,
            "must begin with a method such as GET or POST",
        ),
        (
            "URI",
            REQUEST_LINE,
            "must have a target such as /v1/jobs after the method",
        ),
        (
            "HTTP2",
            REQUEST_LINE,
            "must end with HTTP/1.1; HTTP/2 is not supported",
        ),
        ("version", REQUEST_LINE, "must end with HTTP/1.1"),
        (
            "content-length",
            "Content-Length",
            "must be one whole number",
        ),
        (
            "transfer-encoding",
            "Transfer-Encoding",
            "must be chunked or absent",
        ),
    ];
    let part = parts.iter().find(|(word, ..)| error.contains(word));
    match part {
        Some((_, field, message)) => (field, (*message).to_owned()),
        None => (
            "headers",
            String::from(
                "must be lines of the form Name: value, with printable characters and an empty line at the end",
            ),
        ),
    }
}

/// Sends a response and ends this side of the connection. Then reads and drops what the client still sends, within limits.
pub(super) async fn send<S>(mut stream: S, problem: Problem, id: &RequestId) -> std::io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut parts, body) = problem.into_response().into_parts();
    security_headers::add(&mut parts.headers);
    parts.headers.insert(request_id::HEADER, id.header_value());
    let body = collected(body).await;
    let mut head = format!("HTTP/1.1 {}\r\n", parts.status);
    push_headers(&mut head, &parts.headers);
    head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&body).await?;
    stream.shutdown().await?;
    let discarding = async {
        let mut buffer = [0; 4_096];
        let mut bytes = 0;
        while bytes < DISCARD_BYTES_MAX {
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(read) => bytes += read,
            }
        }
    };
    // The response is sent, whether the client has ended within the limits or not.
    let _ = timeout(DISCARD_TIME, discarding).await;
    Ok(())
}

/// The body of a problem, which is in memory, so that reading it cannot fail.
async fn collected(body: Body) -> bytes::Bytes {
    let collected = body.collect().await;
    collected
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default()
}

fn push_headers(head: &mut String, headers: &HeaderMap) {
    for (name, value) in headers {
        if let Ok(value) = value.to_str() {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::malformed_part;

    #[test]
    fn the_malformed_part_of_a_request_and_what_it_must_be_are_named() {
        for (error, field, message) in [
            (
                "invalid HTTP method parsed",
                "request line",
                "must begin with a method such as GET or POST",
            ),
            (
                "invalid URI",
                "request line",
                "must have a target such as /v1/jobs after the method",
            ),
            (
                "invalid HTTP version parsed",
                "request line",
                "must end with HTTP/1.1",
            ),
            (
                "invalid HTTP version parsed (found HTTP2 preface)",
                "request line",
                "must end with HTTP/1.1; HTTP/2 is not supported",
            ),
            (
                "invalid content-length parsed",
                "Content-Length",
                "must be one whole number",
            ),
            (
                "unexpected transfer-encoding parsed",
                "Transfer-Encoding",
                "must be chunked or absent",
            ),
            (
                "invalid HTTP header parsed",
                "headers",
                "must be lines of the form Name: value, with printable characters and an empty line at the end",
            ),
        ] {
            assert_eq!(
                malformed_part(error),
                (field, message.to_owned()),
                "{error}"
            );
        }
    }
}
