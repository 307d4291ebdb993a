//! Reads request bodies within their limits: bytes of one body, bytes of all bodies, and time.
//!
//! No handler reads a body with axum's extractors, because they limit only the bytes of a single body.

mod limit;
mod reserved_buffer;
#[cfg(test)]
mod tests;

use std::{io, time::Duration};

use axum::{body::Body, http::HeaderMap};
use bytes::Bytes;
use forebay_runtime::{
    byte_budget::ReservedBytes, memory::MemoryShares, off_async_threads::off_async_threads,
};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout_at};

use self::{
    limit::{content_length, too_large},
    reserved_buffer::{MEMORY_WAIT, ReservedBuffer, SMALL_BODY_BYTES},
};
use crate::{
    json_size::parsed_bytes,
    problem::{Problem, RequestPart},
    problem_code::ProblemCode,
    request_faults::RequestFaults,
    settings::GatewaySettings,
};

pub(crate) use self::limit::{discard, refuse_too_large};

/// A small body whose values take more bytes counts as a large body.
const PARSED_SMALL_BYTES: u64 = 512 * 1_024;
/// A body whose values take more than this many times its bytes is refused if it does not fit into the budget. Any other body
/// that does not fit gets the whole budget and is parsed alone.
const PARSED_FACTOR_MAX: u64 = 4;
/// Work on a body of more bytes is done off the async threads, so that it does not hold up other requests.
const LONG_WORK_BYTES: usize = 256 * 1_024;

/// Reads bodies, within the memory that the process has for them.
pub(crate) struct BodyReader {
    memory: MemoryShares,
    body_bytes_max: usize,
    read_timeout: Duration,
}

/// A complete body. Its bytes stay reserved until this value is dropped.
pub(crate) struct BufferedBody {
    pub(crate) bytes: Bytes,
    /// `None` for an empty body, and once `validate` has returned the reservation.
    reserved: Option<ReservedBytes>,
}

impl BufferedBody {
    /// Does work whose time grows with the body. For a large body, the work is done off the async threads.
    pub(crate) fn compute<T>(&self, work: impl FnOnce(&Bytes) -> T) -> T {
        if self.is_long_work() {
            off_async_threads(|| work(&self.bytes))
        } else {
            work(&self.bytes)
        }
    }

    /// Whether work on the body takes so long that it is done off the async threads.
    pub(crate) fn is_long_work(&self) -> bool {
        self.bytes.len() > LONG_WORK_BYTES
    }
}

impl BodyReader {
    pub(crate) fn new(memory: MemoryShares, settings: &GatewaySettings) -> Self {
        Self {
            memory,
            body_bytes_max: settings.body_bytes_max,
            read_timeout: Duration::from_millis(settings.body_timeout_ms),
        }
    }

    /// Reads a body to its end. The time limit is for the client: it does not count the time in which the body waits for memory.
    pub(crate) async fn read(
        &self,
        headers: &HeaderMap,
        mut body: Body,
    ) -> Result<BufferedBody, Problem> {
        let expected_bytes = content_length(headers).unwrap_or(usize::MAX);
        let bytes_max = expected_bytes.min(self.body_bytes_max);
        let mut buffer = ReservedBuffer::new(&self.memory, bytes_max);
        let deadline = Instant::now() + self.read_timeout;
        loop {
            let frame = match timeout_at(deadline + buffer.waited(), body.frame()).await {
                Ok(None) => break,
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(error))) => return Err(unreadable(&error).closing_connection()),
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
            let problem = if buffer.len() + data.len() > bytes_max {
                too_large(self.body_bytes_max)
            } else if !buffer.append(&data).await {
                budget_used_up()
            } else {
                continue;
            };
            drop((data, buffer));
            discard(body).await;
            return Err(problem);
        }
        let (bytes, reserved) = buffer.into_parts();
        Ok(BufferedBody { bytes, reserved })
    }

    /// Parses and validates a body, within reserved memory. A request with faults is refused, and the problem names the earlier
    /// `faults` together with those of the body. If `described_as_expected` is an error, the body is empty, or its headers
    /// do not describe it as what the route accepts, and it is not parsed.
    pub(crate) async fn validate<T>(
        &self,
        body: &mut BufferedBody,
        described_as_expected: Result<(), Problem>,
        mut faults: RequestFaults,
        validation: impl FnOnce(&Bytes) -> Result<T, Problem>,
    ) -> Result<(T, Option<ReservedBytes>), Problem> {
        if faults.collect(described_as_expected).is_some()
            && let Some(memory) = faults.collect(self.reserve_parsed(body).await)
        {
            let valid = body.compute(validation);
            return faults.finish(valid.map(|valid| (valid, memory)));
        }
        Err(faults.into_problem())
    }

    /// Reserves the memory for what a body becomes: its parsed values, and the job's documents. The caller keeps it until the
    /// job is stored.
    ///
    /// A request that waits here holds only the bytes of its body. A request that has this memory never asks for more of it. So
    /// requests cannot wait for each other for ever.
    async fn reserve_parsed(
        &self,
        body: &mut BufferedBody,
    ) -> Result<Option<ReservedBytes>, Problem> {
        let body_bytes = body.bytes.len() as u64;
        let parsed = body.compute(|bytes| parsed_bytes(bytes));
        let bytes = parsed + body_bytes;
        if body.bytes.len() <= SMALL_BODY_BYTES
            && parsed <= PARSED_SMALL_BYTES
            && let Some(reserved) = &mut body.reserved
            && reserved.try_extend(bytes)
        {
            return Ok(body.reserved.take());
        }
        let budget = &self.memory.parsed_bodies;
        if bytes > budget.total() && parsed / PARSED_FACTOR_MAX > body_bytes {
            let detail = format!(
                "the values of the body would take {} MiB of memory, and this gateway has {} MiB for them; \
                 send fewer values, or strings instead of long lists",
                parsed >> 20,
                budget.total() >> 20
            );
            return Err(Problem::new(ProblemCode::BodyTooLarge, detail));
        }
        match budget.reserve(bytes, MEMORY_WAIT).await {
            Some(reserved) => Ok(Some(reserved)),
            None => Err(budget_used_up()),
        }
    }
}

/// The problem for a body that ended early, or whose chunks (RFC 9112, section 7.1) are malformed.
fn unreadable(error: &axum::Error) -> Problem {
    let mut source = Some(error as &dyn std::error::Error);
    while let Some(error) = source {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        if matches!(
            kind,
            Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData)
        ) {
            let message = "is chunked, but the chunks of the body are malformed";
            return Problem::with_field_error(
                ProblemCode::InvalidHttp,
                RequestPart::Header,
                "Transfer-Encoding",
                message,
            );
        }
        source = error.source();
    }
    let message = "ended with the connection before all of it had arrived";
    Problem::with_field_error(ProblemCode::InvalidJson, RequestPart::Body, "body", message)
}

fn budget_used_up() -> Problem {
    Problem::new(
        ProblemCode::Overloaded,
        "too many request bodies are in memory",
    )
    .retry_after(1)
    .closing_connection()
}
