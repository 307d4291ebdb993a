//! The document of an account.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    ClosedBy, ConfiguredBy, ConfiguredLimits, bucket::Bucket, overload::OverloadLimit, rate::Pace,
    tokens::TokenBudget,
};
use crate::{
    document::{Document, DocumentVersion, UnknownFields},
    ids::{JobId, ProcessId},
    job::JobError,
    time::TimeMs,
};

/// The account of a provider, or of one model of it.
///
/// An account that was never limited has no document. [`Account::default`] stands for it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// The version of the document's form.
    #[serde(default)]
    pub v: DocumentVersion,
    /// Whether the provider may be called.
    pub phase: Phase,
    /// The limits of the configuration.
    #[serde(default, skip_serializing_if = "ConfiguredLimits::is_empty")]
    pub configured: ConfiguredLimits,
    /// Which process set `configured`. `None` if no process did, or if it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configured_by: Option<ConfiguredBy>,
    /// The calls in flight, by process. Counted only while they are limited ([`Account::concurrency`]).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub in_flight: BTreeMap<ProcessId, u32>,
    /// The permits of [`ConfiguredLimits::requests_per_minute`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) requests: Option<Bucket>,
    /// The tokens that may be used, if a limit on tokens is configured or reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tokens: Option<TokenBudget>,
    /// The pace: the rate of calls that the provider was found to allow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) pace: Option<Pace>,
    /// The limit on calls in flight, measured by the refusals of overloads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) overload: Option<OverloadLimit>,
    /// How many times the account has closed since the last answer to a call that started after a closing.
    #[serde(default, rename = "pauses")]
    pub(super) pause_count: u32,
    /// The longest time from the permit of a call to its refusal by a rate limit, in milliseconds.
    #[serde(default, rename = "refusal_ms")]
    pub(super) slowest_refusal_ms: u64,
    /// Calls that started at or before this time neither close nor open the account. The time is a little after the last
    /// closing, because not all processes know of a closing at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) stale_until: Option<TimeMs>,
    /// When the provider last refused a call, failed, or reported a limit that the account uses.
    /// [`FORGET_MS`](super::FORGET_MS) counts from it. After a loss, an earlier time, so that the account is forgotten sooner.
    #[serde(
        default,
        rename = "limited_at",
        skip_serializing_if = "Option::is_none"
    )]
    pub(super) forget_from: Option<TimeMs>,
    /// Whether the account was lost, and since then no call was refused and the account did not close.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) was_lost: bool,
    /// The different jobs that failed with server errors since the last answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) failing_jobs: Vec<JobId>,
    /// Fields that this release does not know.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

impl Document for Account {
    const NAME: &'static str = "account of a provider";

    fn version(&self) -> DocumentVersion {
        self.v
    }
}

/// Whether the provider of an account may be called.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It may be called, within the account's limits.
    #[default]
    Open,
    /// It may not be called.
    Closed(Closing),
    /// One call, the probe, finds out whether the provider answers again. No other permits are granted until the probe is
    /// answered, or until the closing's `until`.
    Probing(Closing),
}

/// Why an account is closed, and for how long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Closing {
    /// The reason.
    pub cause: ClosedBy,
    /// When the account closed.
    pub since: TimeMs,
    /// When the next permit can be taken.
    pub until: TimeMs,
    /// The provider's error, without its detail.
    pub error: JobError,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Earlier releases write and read these names.
    #[test]
    fn the_names_in_the_stored_document_do_not_change() {
        let account = Account {
            pause_count: 1,
            slowest_refusal_ms: 2,
            forget_from: Some(TimeMs(3)),
            ..Account::default()
        };
        let stored = json!({
            "v": 1, "phase": "open", "pauses": 1, "refusal_ms": 2, "limited_at": 3
        });
        assert_eq!(serde_json::to_value(&account).unwrap(), stored);
        assert_eq!(serde_json::from_value::<Account>(stored).unwrap(), account);
    }
}
