//! Refuses a body that is too large, and discards bodies that are not wanted.

use std::time::Duration;

use axum::{
    body::Body,
    extract::Request,
    http::{
        HeaderMap,
        header::{CONTENT_LENGTH, EXPECT},
    },
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http_body_util::BodyExt;
use tokio::time::timeout;

use crate::{problem::Problem, problem_code::ProblemCode};

/// The limits on discarding a body that is refused. If the body were not read, the connection would close while the
/// client sends. Many clients then report a broken connection instead of the response.
const DISCARD_BYTES_MAX: usize = 32 * 1024 * 1024;
const DISCARD_TIME: Duration = Duration::from_secs(3);

/// Refuses a request whose `Content-Length` is over the limit, on any route, before its body is read.
pub(crate) async fn refuse_too_large(
    bytes_max: usize,
    request: Request,
    handle: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    if content_length(request.headers()).is_none_or(|bytes| bytes <= bytes_max) {
        return handle(request).await;
    }
    // A client that sends `Expect: 100-continue` has sent no body yet, so nothing is discarded.
    if !request.headers().contains_key(EXPECT) {
        discard(request.into_body()).await;
    }
    too_large(bytes_max).into_response()
}

pub(super) fn content_length(headers: &HeaderMap) -> Option<usize> {
    let text = headers.get(CONTENT_LENGTH)?.to_str().ok()?;
    // A number too large to parse is over every limit.
    Some(text.parse().unwrap_or(usize::MAX))
}

pub(super) fn too_large(bytes_max: usize) -> Problem {
    let detail = format!("a body may have at most {bytes_max} bytes");
    Problem::new(ProblemCode::BodyTooLarge, detail).closing_connection()
}

/// Reads a body and drops its data, within the limits on discarding.
pub(crate) async fn discard(mut body: Body) {
    let discarding = async {
        let mut bytes = 0;
        while let Some(Ok(frame)) = body.frame().await {
            bytes += frame.data_ref().map_or(0, Bytes::len);
            if bytes > DISCARD_BYTES_MAX {
                break;
            }
        }
    };
    // The response is the same whether the body ended within the limits or not.
    let _ = timeout(DISCARD_TIME, discarding).await;
}
