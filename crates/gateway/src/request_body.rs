//! Reads request bodies within their limits: bytes of one body, bytes of all bodies, and time.
//!
//! No handler reads a body with axum's extractors, because they limit only the bytes of a single body.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::Request,
    http::{
        HeaderMap,
        header::{CONTENT_LENGTH, EXPECT},
    },
    middleware::Next,
    response::{IntoResponse, Response},
};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout, timeout_at},
};

use crate::{problem::Problem, problem_code::ProblemCode, settings::GatewaySettings};

/// One permit of the byte budget reserves this many bytes.
const PERMIT_BYTES: usize = 1_024;
/// A body reserves at most this many bytes before its first byte arrives. Each time it outgrows its reservation, it
/// reserves at least this many more. So a client that sends slowly, or sends nothing, reserves little.
const RESERVE_STEP_BYTES: usize = 64 * 1_024;
/// The limits on discarding a body that is too large. If the body were not read, the connection would close while the
/// client sends. Many clients then report a broken connection instead of the response.
const DISCARD_BYTES_MAX: usize = 32 * 1024 * 1024;
const DISCARD_TIME: Duration = Duration::from_secs(3);

/// Reads bodies. All bodies in memory share one byte budget.
pub(crate) struct BodyReader {
    budget: Arc<Semaphore>,
    body_bytes_max: usize,
    read_timeout: Duration,
}

/// A complete body. Its bytes count against the budget until the permit is dropped.
pub(crate) struct BufferedBody {
    pub(crate) bytes: Bytes,
    pub(crate) permit: OwnedSemaphorePermit,
}

impl BodyReader {
    pub(crate) fn new(settings: &GatewaySettings) -> Self {
        let bytes_max = settings.bodies_bytes_max.max(settings.body_bytes_max);
        Self {
            budget: Arc::new(Semaphore::new(permits(bytes_max) as usize)),
            body_bytes_max: settings.body_bytes_max,
            read_timeout: Duration::from_millis(settings.body_timeout_ms),
        }
    }

    /// Reads a body to its end. Only the first reservation waits for the budget. If the budget is used up, a later
    /// reservation fails, and the body is refused. Otherwise bodies that hold reservations could wait for each other for
    /// ever.
    pub(crate) async fn read(
        &self,
        headers: &HeaderMap,
        mut body: Body,
    ) -> Result<BufferedBody, Problem> {
        let deadline = Instant::now() + self.read_timeout;
        let first_reservation_bytes = content_length(headers)
            .unwrap_or(RESERVE_STEP_BYTES)
            .min(RESERVE_STEP_BYTES);
        let reserving =
            Arc::clone(&self.budget).acquire_many_owned(permits(first_reservation_bytes));
        let Ok(Ok(mut permit)) = timeout_at(deadline, reserving).await else {
            return Err(budget_used_up());
        };
        let mut buffer = BytesMut::with_capacity(first_reservation_bytes);
        loop {
            let frame = match timeout_at(deadline, body.frame()).await {
                Ok(None) => break,
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(_))) => {
                    let detail = "the connection ended before the whole body had arrived";
                    return Err(Problem::new(ProblemCode::InvalidJson, detail).closing_connection());
                }
                Err(_) => {
                    let seconds = self.read_timeout.as_secs();
                    let detail = format!("the whole body must arrive within {seconds} s");
                    return Err(Problem::new(ProblemCode::BodyTimeout, detail).closing_connection());
                }
            };
            // A frame without data holds trailers, which are ignored.
            let Ok(data) = frame.into_data() else {
                continue;
            };
            if buffer.len() + data.len() > self.body_bytes_max {
                drop((permit, buffer));
                discard(body).await;
                return Err(too_large(self.body_bytes_max));
            }
            self.reserve_up_to(&mut permit, buffer.len() + data.len())?;
            buffer.extend_from_slice(&data);
        }
        Ok(BufferedBody {
            bytes: buffer.freeze(),
            permit,
        })
    }

    /// Extends a reservation until it covers a body of this many bytes.
    fn reserve_up_to(
        &self,
        permit: &mut OwnedSemaphorePermit,
        bytes: usize,
    ) -> Result<(), Problem> {
        let missing_permits = (permits(bytes) as usize).saturating_sub(permit.num_permits());
        if missing_permits == 0 {
            return Ok(());
        }
        let step = u32::try_from(missing_permits)
            .unwrap_or(u32::MAX)
            .max(permits(RESERVE_STEP_BYTES));
        let added_permits = Arc::clone(&self.budget)
            .try_acquire_many_owned(step)
            .map_err(|_| budget_used_up())?;
        permit.merge(added_permits);
        Ok(())
    }
}

fn budget_used_up() -> Problem {
    Problem::new(
        ProblemCode::Overloaded,
        "too many request bodies are in memory",
    )
    .retry_after(1)
    .closing_connection()
}

/// Refuses a request whose `Content-Length` is over the limit, on any route, before its body is read.
pub(crate) async fn refuse_too_large(bytes_max: usize, request: Request, next: Next) -> Response {
    if content_length(request.headers()).is_none_or(|bytes| bytes <= bytes_max) {
        return next.run(request).await;
    }
    // A client that sends `Expect: 100-continue` has sent no body yet, so nothing is discarded.
    if !request.headers().contains_key(EXPECT) {
        discard(request.into_body()).await;
    }
    too_large(bytes_max).into_response()
}

fn content_length(headers: &HeaderMap) -> Option<usize> {
    let text = headers.get(CONTENT_LENGTH)?.to_str().ok()?;
    // A number too large to parse is over every limit.
    Some(text.parse().unwrap_or(usize::MAX))
}

fn permits(bytes: usize) -> u32 {
    let permits = bytes
        .div_ceil(PERMIT_BYTES)
        .clamp(1, Semaphore::MAX_PERMITS);
    u32::try_from(permits).unwrap_or(u32::MAX)
}

fn too_large(bytes_max: usize) -> Problem {
    let detail = format!("a body may have at most {bytes_max} bytes");
    Problem::new(ProblemCode::BodyTooLarge, detail).closing_connection()
}

/// Reads a body and drops its data, within the limits on discarding.
async fn discard(mut body: Body) {
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
