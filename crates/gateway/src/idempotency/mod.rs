//! The `Idempotency-Key` header (IETF draft-ietf-httpapi-idempotency-key-header): a repeated submit gets
//! the job of the first submit.
//!
//! The store keeps a key apart from its job's lane. So a submit takes two steps: it sets the key to a job id, and then
//! admits the job with that id. If a gateway dies between the steps, the key is left without a job. The next request with
//! that key does the second step itself.
//!
//! The limits are checked before the first step. A submit that they refuse only reads the key. If the job is refused after the
//! first step, for example by its session, the key is kept for a minute only.
//!
//! A client may delete the job of a key. The store keeps the id of the deleted job until the key lapses, so a repeat finds out that
//! the job was deleted.
//!
//! - `header`: reads the header.
//! - `submit_key`: the key of one submit in the store.

mod header;
mod submit_key;

use axum::http::HeaderName;

pub(crate) use header::{KEY_ALLOWED, KEY_PATTERN, parse_key};
pub(crate) use submit_key::{KEY_TTL_MS, KeyClaim, SubmitKey};

/// How much longer a job's record is kept than its key, in milliseconds. A key that outlives its job
/// would look like a crash between the two steps, and the job would run again.
pub(crate) const RECORD_MARGIN_MS: u64 = 3_600_000;

/// The response header that marks a response with the job of an earlier request.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
