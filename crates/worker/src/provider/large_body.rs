//! Builds large requests one at a time, and outside of the async threads.
//!
//! While a request is built, its text is in memory several times. Jobs reserve memory only for what a call holds afterwards. So
//! only one large request is built at a time.

use std::sync::{Mutex, PoisonError};

use forebay_runtime::off_async_threads::off_async_threads;
use forebay_shared::turn::{Content, Part, Turn};

use super::{Call, Failure};

/// Turns with more bytes of text make a large request.
const LARGE_BYTES: usize = 256 * 1024;

/// Locked while the process builds a large request.
static BUILDING: Mutex<()> = Mutex::new(());

/// Builds the body of a request.
///
/// # Errors
/// Those of `body`.
pub(super) fn build(
    call: &Call<'_>,
    body: impl FnOnce() -> Result<Vec<u8>, Failure>,
) -> Result<Vec<u8>, Failure> {
    let text_bytes: usize = call.turns.iter().map(text_bytes).sum();
    if text_bytes <= LARGE_BYTES {
        return body();
    }
    off_async_threads(|| {
        let _building = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
        body()
    })
}

/// The bytes of a turn's text and images.
fn text_bytes(turn: &Turn) -> usize {
    let content = match &turn.content {
        None => 0,
        Some(Content::Text(text)) => text.len(),
        Some(Content::Parts(parts)) => {
            let parts = parts.iter().map(|part| match part {
                Part::Text { text, .. } => text.len(),
                Part::ImageUrl { image_url, .. } => image_url.url.len(),
                Part::Unknown(_) => 0,
            });
            parts.sum()
        }
    };
    let calls = turn.tool_calls.iter();
    content
        + calls
            .map(|call| call.function.arguments.len())
            .sum::<usize>()
}
