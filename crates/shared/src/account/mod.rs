//! The account of a provider: whether calls may start now. The fleet shares one account for each provider, and one for
//! each model that a provider limits separately.
//!
//! [`Account`] is a document, and [`Account::apply`] changes it by an [`AccountEvent`]. It has no clock, no randomness
//! and no I/O. The runtime stores the result with a compare-and-set.
//!
//! - A refused call closes the account. After an outage, it opens when the provider answers a probe (one call). After a rate limit with
//!   a known rate, it opens when the pause has passed. If the rate is not known, it opens when a probe is not refused.
//! - After a rate limit, calls start at the rate that the provider was found to allow: the pace.
//! - After an overload, calls in flight are limited to as many as the provider was found to accept.
//! - The account of a provider that is not limited grants every permit and does not change, so it costs no write.
//!
//! In reading order: `key.rs`, `limits.rs`, `document.rs`, `event.rs`, `decide.rs`, `permits.rs`, `refusals.rs`, `lost.rs`, `rate.rs`,
//! `measure.rs`, `reported.rs`, `overload.rs`, `tokens.rs`, `bucket.rs`.

mod bucket;
mod decide;
mod document;
mod event;
mod key;
mod limits;
mod lost;
mod measure;
mod overload;
mod permits;
mod rate;
mod refusals;
mod reported;
mod tokens;

pub use document::{Account, Closing, Phase};
pub use event::{AccountEvent, ClosedBy, Decision, PhaseChange, Refusal};
pub use key::AccountKey;
pub use limits::{
    ConfiguredBy, ConfiguredLimits, DELAY_MS_MAX, FAILING_JOBS_TO_CLOSE, FORGET_MS, PROBE_MS_MAX,
    RATE_MAX, RATE_MIN, configured_burst,
};
pub use reported::{ReportedLimit, ReportedLimits};
