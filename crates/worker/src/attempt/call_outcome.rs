//! How the call of an attempt ended.

use forebay_shared::{session::TokenMeasure, turn::Turn};

use crate::provider::{Answer, Failure};

/// How the call of an attempt ended.
pub(super) enum CallOutcome {
    /// The provider answered.
    Answered(Box<CallResult>),
    /// The call failed.
    Failed {
        /// What went wrong.
        failure: Box<Failure>,
        /// The name of the provider; absent if no provider was called.
        provider: Option<String>,
    },
    /// No provider was called, because another job hands in more of the tool results that the model waits for. The results
    /// of this job go into the session.
    ResultsStored {
        /// The job's input.
        results: Vec<Turn>,
        /// How long user messages still wait for the other results, in milliseconds.
        hold_ms: u64,
    },
    /// The result is no longer needed, and there is nothing to commit.
    Dropped {
        /// The reason, for the log.
        reason: &'static str,
    },
    /// The worker stops, or a wait for tool results has ended. The job is released.
    Interrupted,
}

/// The reason of a call that is dropped because its job has reached its deadline.
pub(super) const EXPIRED: &str = "the job has expired";

/// A provider's answer, and what was sent for it.
pub(super) struct CallResult {
    /// What the provider answered.
    pub(super) answer: Answer,
    /// The name of the provider.
    pub(super) provider: String,
    /// The turns that are appended to the session before the reply.
    pub(super) turns_before_reply: Vec<Turn>,
    /// How many turns were sent, the input among them.
    pub(super) turns_sent: u32,
    /// How many turns of the session were not sent.
    pub(super) turns_dropped: u32,
    /// The bytes of the input that was sent: turns, instructions and tools, as JSON.
    pub(super) input_bytes: u64,
    /// How long user messages wait for tool results after a reply that calls tools, in seconds.
    pub(super) tool_wait_s: u32,
}

impl CallResult {
    /// The tokens that the provider counted for the input that was sent, if it gave a usable count.
    pub(super) fn token_measure(&self) -> Option<TokenMeasure> {
        let usage = self.answer.usage.as_ref()?;
        if usage.input_tokens == 0 {
            return None;
        }
        Some(TokenMeasure {
            sent_bytes: self.input_bytes,
            input_tokens: usage.input_tokens,
        })
    }
}
