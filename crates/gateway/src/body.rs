//! Reads a request's body within its bounds: bytes of one body, bytes of all bodies together, time.
//!
//! axum's own limit binds its extractors only, so no handler uses those for bodies.

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

use crate::{
    problem::{Code, Problem},
    settings::GatewaySettings,
};

/// One permit of [`BodyRoom`] in bytes.
const PERMIT_BYTES: usize = 1_024;
/// The room that a body takes before its first byte, and each time that it has outgrown what it has. So
/// clients that send slowly, or nothing, take little.
const STEP_BYTES: usize = 64 * 1_024;
/// How much of a body that is too large is read and thrown away, and for how long. A client that is cut
/// off while it still sends often sees a broken connection in place of the answer.
const DISCARD_BYTES_MAX: usize = 32 * 1024 * 1024;
const DISCARD_TIME: Duration = Duration::from_secs(3);

/// Room for bodies in memory.
pub(crate) struct BodyRoom {
    permits: Arc<Semaphore>,
    body_bytes_max: usize,
    read_time: Duration,
}

/// A body, and the room that it takes for as long as that lives.
pub(crate) struct HeldBody {
    pub(crate) bytes: Bytes,
    pub(crate) room: OwnedSemaphorePermit,
}

impl BodyRoom {
    pub(crate) fn new(settings: &GatewaySettings) -> Self {
        let bytes_max = settings.bodies_bytes_max.max(settings.body_bytes_max);
        Self {
            permits: Arc::new(Semaphore::new(permits(bytes_max) as usize)),
            body_bytes_max: settings.body_bytes_max,
            read_time: Duration::from_millis(settings.body_read_ms),
        }
    }

    /// Reads a body. Its room grows with it; a body never waits for more room half read, since others
    /// could wait for it in turn, but is refused.
    pub(crate) async fn read(
        &self,
        headers: &HeaderMap,
        mut body: Body,
    ) -> Result<HeldBody, Problem> {
        let until = Instant::now() + self.read_time;
        let first = announced(headers).unwrap_or(STEP_BYTES).min(STEP_BYTES);
        let room = Arc::clone(&self.permits).acquire_many_owned(permits(first));
        let Ok(Ok(mut room)) = timeout_at(until, room).await else {
            return Err(crowded());
        };
        let mut read = BytesMut::with_capacity(first);
        loop {
            let frame = match timeout_at(until, body.frame()).await {
                Ok(None) => break,
                Ok(Some(Ok(frame))) => frame,
                Ok(Some(Err(_))) => {
                    let detail = "the body ended before it was whole";
                    return Err(Problem::new(Code::InvalidJson, detail).closing());
                }
                Err(_) => {
                    let detail = format!("it must be here within {} s", self.read_time.as_secs());
                    return Err(Problem::new(Code::BodyTimeout, detail).closing());
                }
            };
            // Trailers are nothing to us.
            let Ok(data) = frame.into_data() else {
                continue;
            };
            if read.len() + data.len() > self.body_bytes_max {
                drop((room, read));
                discard(body).await;
                return Err(too_large(self.body_bytes_max));
            }
            self.grow(&mut room, read.len() + data.len())?;
            read.extend_from_slice(&data);
        }
        Ok(HeldBody {
            bytes: read.freeze(),
            room,
        })
    }

    /// Makes room for a body of so many bytes.
    fn grow(&self, room: &mut OwnedSemaphorePermit, bytes: usize) -> Result<(), Problem> {
        let missing = permits(bytes) as usize;
        let Some(missing) = missing
            .checked_sub(room.num_permits())
            .filter(|more| *more > 0)
        else {
            return Ok(());
        };
        let step = u32::try_from(missing)
            .unwrap_or(u32::MAX)
            .max(permits(STEP_BYTES));
        let more = Arc::clone(&self.permits)
            .try_acquire_many_owned(step)
            .map_err(|_| crowded())?;
        room.merge(more);
        Ok(())
    }
}

fn crowded() -> Problem {
    Problem::new(Code::Overloaded, "too many bodies are being read")
        .retry_after(1)
        .closing()
}

/// Refuses a body that announces itself as too large, on any route and before a byte of it is read.
pub(crate) async fn refuse_announced(bytes_max: usize, request: Request, next: Next) -> Response {
    if announced(request.headers()).is_none_or(|bytes| bytes <= bytes_max) {
        return next.run(request).await;
    }
    // A client that asks first sends nothing, so there is nothing to throw away.
    if !request.headers().contains_key(EXPECT) {
        discard(request.into_body()).await;
    }
    too_large(bytes_max).into_response()
}

/// The length that the client announced.
fn announced(headers: &HeaderMap) -> Option<usize> {
    let text = headers.get(CONTENT_LENGTH)?.to_str().ok()?;
    // A length beyond all numbers is a length beyond the bound.
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
    Problem::new(Code::BodyTooLarge, detail).closing()
}

async fn discard(mut body: Body) {
    let drained = async {
        let mut bytes = 0;
        while let Some(Ok(frame)) = body.frame().await {
            bytes += frame.data_ref().map_or(0, Bytes::len);
            if bytes > DISCARD_BYTES_MAX {
                break;
            }
        }
    };
    // Whether it ended or not, the answer is the same.
    let _ = timeout(DISCARD_TIME, drained).await;
}
