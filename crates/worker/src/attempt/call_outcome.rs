//! How the call of an attempt ended.

use forebay_runtime::lanes::ProviderWait;
use forebay_shared::{session::TokenMeasure, turn::Turn};
use tokio::sync::OwnedSemaphorePermit;

use crate::{
    context::size::InputSize,
    provider::{Answer, Failure},
};

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
    /// No provider was called, because a later job has more of the missing tool results. The results of this job go into the
    /// session.
    ResultsStored {
        /// The tool results of the job's input.
        results: Vec<Turn>,
        /// How long user messages still wait for the other results, in milliseconds.
        hold_ms: u64,
        /// Bounds how many jobs have such results in memory.
        read_permit: OwnedSemaphorePermit,
    },
    /// The provider may not be called now, so the job waits for it. No try is counted.
    Deferred(Box<ProviderWait>),
    /// The result is no longer needed, and there is nothing to commit.
    Dropped {
        /// The reason, for the log.
        reason: &'static str,
    },
    /// The job is released: the worker stops, no open file was left until the deadline, or this worker cannot read the job's
    /// inputs now.
    Interrupted,
    /// The wait for tool results has ended. The job is released, and its next attempt calls the provider or waits again.
    WaitEnded,
}

/// The reason of a call that is dropped because its job has reached its deadline.
pub(super) const EXPIRED: &str = "the job has expired";

/// A provider's answer, and what was sent for it.
pub(super) struct CallResult {
    /// What the provider answered.
    pub(super) answer: Answer,
    /// The name of the provider.
    pub(super) provider: String,
    /// The number of the first turn of the session that `turns_before_reply` and the reply replace.
    pub(super) replace_from_turn: Option<u64>,
    /// The turns that are appended to the session before the reply.
    pub(super) turns_before_reply: Vec<Turn>,
    /// How many turns were sent, the input among them.
    pub(super) turns_sent: u32,
    /// How many turns of the session were not sent.
    pub(super) turns_dropped: u32,
    /// The bytes of the input that was sent: turns, instructions and tools, as JSON.
    pub(super) input_bytes: u64,
    /// The size of the same input, with an assumed size for each image.
    pub(super) input_size: InputSize,
    /// How long user messages wait for tool results after a reply that calls tools, in seconds.
    pub(super) tool_wait_s: u32,
}

impl CallResult {
    /// The tokens that the provider counted for the input that was sent, if it gave a usable count.
    pub(super) fn token_measure(&self) -> Option<TokenMeasure> {
        let input_tokens = self.answer.usage.as_ref()?.input_tokens;
        let is_usable = is_possible(input_tokens, self.input_bytes, self.input_size.bytes);
        is_usable.then_some(TokenMeasure {
            sent_bytes: self.input_bytes,
            input_tokens,
        })
    }
}

/// The maximum number of bytes for each token. A count with more bytes for each token is wrong.
const BYTES_PER_TOKEN_MAX: u64 = 20;

/// Whether an input can have this count of tokens: 1 to [`BYTES_PER_TOKEN_MAX`] bytes for each token. A wrong count would
/// make the contexts of all later jobs of the session too short or too long. `sent_bytes` includes the data of images.
/// `text_bytes` includes an assumed size for each image instead.
const fn is_possible(tokens: u64, sent_bytes: u64, text_bytes: u64) -> bool {
    let is_low = tokens < text_bytes.div_ceil(BYTES_PER_TOKEN_MAX);
    tokens > 0 && !is_low && (tokens <= sent_bytes || tokens <= text_bytes)
}

#[cfg(test)]
mod tests {
    use super::is_possible;

    #[test]
    fn only_possible_counts_of_tokens_are_used() {
        for (tokens, sent_bytes, text_bytes, expected) in [
            (100, 500, 400, true),
            (400, 500, 400, true),
            (500, 500, 400, true),
            (20, 500, 400, true),
            (19, 500, 400, false),
            (1, 500, 400, false),
            (0, 0, 0, false),
            (501, 500, 400, false),
            (900_000_000, 500, 400, false),
            // An image with its data, and an image at an address.
            (1_200, 1_000_000, 4_400, true),
            (1_200, 600, 4_400, true),
        ] {
            assert_eq!(
                is_possible(tokens, sent_bytes, text_bytes),
                expected,
                "{tokens} tokens"
            );
        }
    }
}
