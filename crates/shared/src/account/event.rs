//! What can happen to an account, and what follows from it.

use super::{ConfiguredBy, ConfiguredLimits, ReportedLimits};
use crate::{
    ids::{JobId, ProcessId},
    job::JobError,
    time::TimeMs,
};

/// What can happen to an account. All times are on the store's clock.
#[derive(Clone, Debug, PartialEq)]
pub enum AccountEvent {
    /// A process read the limits of its configuration. They replace the limits of the account, unless a process that
    /// started later has set those and is not gone.
    Configured {
        /// The limits.
        limits: ConfiguredLimits,
        /// The process.
        by: ConfiguredBy,
    },
    /// Jobs wait for the account, and the store has none: it was lost, for example when a process with the embedded engine
    /// restarted. This changes no account that the store has.
    Lost,
    /// A process takes permits: for its own call, or for the jobs that it wakes.
    Take {
        /// The most permits that are needed.
        calls: u32,
        /// The process under which the calls are counted.
        process: ProcessId,
        /// Whether further calls wait, for which no permit is requested yet. Then the limit is used up, and a higher rate may be
        /// tried.
        more_wait: bool,
    },
    /// The provider refused a call: it limits the rate, or it is not available.
    Refused(Refusal),
    /// The provider failed with a server error, such as status 500, that shows no rate limit, overload or timeout.
    ServerError {
        /// The job of the call.
        job: JobId,
        /// When the permits of the call were taken.
        taken_at: TimeMs,
        /// The error for the jobs that wait. Its detail is not kept.
        error: JobError,
        /// Uniform from 0 to 1, for the jitter of the pause.
        random: f64,
    },
    /// The provider answered calls, with a reply or with an error of the call itself.
    Answered {
        /// When each call started.
        started_at: Vec<TimeMs>,
        /// How many of them got a reply. The others used no tokens.
        replies: u32,
        /// The tokens of all these calls together.
        tokens: u64,
        /// The limits in the headers of the last response.
        limits: Option<ReportedLimits>,
    },
    /// The provider answered calls that started before it first refused one. These calls had no permits. They show how many calls the
    /// provider accepts at once.
    AnsweredEarlier {
        /// When each call started.
        started_at: Vec<TimeMs>,
    },
    /// Calls with a permit ended. Only needed for an account that counts calls
    /// ([`Account::counts_calls`](super::Account::counts_calls)).
    Ended {
        /// The process under which the calls are counted.
        process: ProcessId,
        /// How many calls.
        calls: u32,
    },
    /// Calls were made, and ended without an answer, for example because the process stopped. The provider may have worked on
    /// them, so their units are not given back. If one of them was the probe, the next probe may start at once.
    EndedUnanswered {
        /// The process that made the calls.
        process: ProcessId,
        /// How many calls.
        calls: u32,
        /// A time at or shortly after the taking of their permits. With an earlier time, the probe would not be recognised.
        taken_at: TimeMs,
    },
    /// Permits were not used: their calls do not start, and their units are given back. If one of them was the probe's, the
    /// next probe may start at once.
    NotUsed {
        /// The process that took the permits.
        process: ProcessId,
        /// How many permits.
        calls: u32,
        /// A time at or shortly after their taking. With an earlier time, the probe's permit would not be recognised.
        taken_at: TimeMs,
    },
    /// A call starts with a permit that another process took. The call is counted under the process that makes it.
    Moved {
        /// The process that took the permit.
        from: ProcessId,
        /// The process that makes the call.
        to: ProcessId,
    },
    /// The bounds of the number of calls that a process has in flight. This corrects the count after permits or events
    /// were lost.
    InFlight {
        /// The process.
        process: ProcessId,
        /// The least number of its calls in flight.
        least: u32,
        /// The greatest number of its calls in flight, including permits that are not used yet.
        most: u32,
    },
    /// A process is gone, and its calls with it. Its limits stay until another process sets its own.
    ProcessGone {
        /// The process.
        process: ProcessId,
    },
}

/// A call that the provider refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// The reason.
    pub cause: ClosedBy,
    /// When the permits of the call were taken. If that was before the last closing, the refusal closes nothing.
    pub taken_at: TimeMs,
    /// If the provider answered that it is overloaded: how many calls of this process were in flight, including this one. `None`
    /// for other refusals, and for outages.
    pub overload_calls: Option<u32>,
    /// The delay that the provider asked for, in milliseconds. A longer one than
    /// [`DELAY_MS_MAX`](super::DELAY_MS_MAX) is shortened to it. 0 counts as `None`.
    pub retry_after_ms: Option<u64>,
    /// The limits in the headers of the response.
    pub limits: Option<ReportedLimits>,
    /// The error for the jobs that wait. Its detail is not kept.
    pub error: JobError,
    /// Uniform from 0 to 1, for the jitter of the pause.
    pub random: f64,
}

/// Why an account is closed.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ClosedBy {
    /// The provider limits the rate of calls: status 429 (RFC 6585, section 4) and its equivalents.
    RateLimit,
    /// The provider cannot be called: status 503 (RFC 9110, section 15.6.4), 529, connections that fail, server errors.
    Unavailable,
}

/// What follows from an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// `Take`: how many calls may start now. `Moved`: 1, or 0 if the permit is no longer counted and no other is free.
    pub granted: u32,
    /// `Take`, if fewer calls were granted than asked for: the milliseconds until there can be more permits, from 1 to
    /// [`DELAY_MS_MAX`](super::DELAY_MS_MAX). `None` if that depends on calls in flight.
    pub retry_in_ms: Option<u64>,
    /// `Refused`: always true. `ServerError`: true if the failure does not count as a try, because the account closes or
    /// is closed.
    pub spares_try: bool,
    /// Whether the account closed or opened, for the log.
    pub phase_change: Option<PhaseChange>,
}

impl Decision {
    /// The decision if the account could not be changed, so that it has not closed.
    #[must_use]
    pub fn without_closing(self) -> Self {
        Self {
            spares_try: false,
            phase_change: None,
            ..self
        }
    }
}

/// An account closed or opened. A change between closed and probing is neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhaseChange {
    /// It was open and is closed now.
    Closed,
    /// It was closed, and calls are allowed again.
    Opened,
}
