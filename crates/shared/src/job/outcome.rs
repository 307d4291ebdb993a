//! How a job ended, written once, by the commit that ended it.

use serde::{Deserialize, Serialize};

use super::Status;
use crate::{ids::ProcessId, time::TimeMs, turn::ToolCall};

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// One of the four terminal states.
    pub status: Status,
    /// When a worker first took it.
    pub started_at: Option<TimeMs>,
    /// When it ended.
    pub ended_at: TimeMs,
    /// The newest fence it ever had. A repair goes on from here.
    pub fence: u64,
    /// The fence that settled it, so that a repeat of that call is recognised; 0 for none.
    pub settled: u64,
    /// The attempts made, oldest first; bounded, see [`ATTEMPTS_MAX`](crate::lane::ATTEMPTS_MAX).
    pub attempts: Vec<Attempt>,
    /// The reply; only of a completed job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<Reply>,
    /// Why there is none; of every job that did not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<JobError>,
    /// The provider that was asked last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
}

/// One attempt at a job.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Attempt {
    /// Counts from 1.
    pub n: u32,
    /// Who made it.
    pub worker: ProcessId,
    /// When it was claimed.
    pub started_at: TimeMs,
    /// When it ended; absent while it runs.
    pub ended_at: Option<TimeMs>,
    /// What went wrong; absent while it runs and when nothing did.
    pub error: Option<JobError>,
}

/// Why a job, or an attempt at one, did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct JobError {
    /// A stable word for programs, such as `rate_limited`.
    pub code: String,
    /// A sentence for people, of at most [`JobError::MESSAGE_BYTES_MAX`] bytes.
    pub message: String,
}

impl JobError {
    /// The most bytes a message may have; what is over is cut off.
    pub const MESSAGE_BYTES_MAX: usize = 1_000;

    /// An error with its message cut to the bound.
    #[must_use]
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if message.len() > Self::MESSAGE_BYTES_MAX {
            message.truncate(message.floor_char_boundary(Self::MESSAGE_BYTES_MAX - 3));
            message.push_str("...");
        }
        Self {
            code: code.to_owned(),
            message,
        }
    }
}

/// What a model answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// The text; absent when it only called tools.
    pub text: Option<String>,
    /// The tools it called.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// Why it stopped.
    pub finish_reason: FinishReason,
    /// What it cost, if the provider said.
    pub usage: Option<Usage>,
    /// How many turns the provider was sent, the input among them.
    pub turns_sent: u32,
    /// How many turns of the session were left out to fit.
    pub turns_dropped: u32,
}

/// Why a model stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// It was done, or met a stop sequence.
    Stop,
    /// It ran into the bound on its output.
    Length,
    /// It calls tools and waits for their results.
    ToolCalls,
    /// The provider kept something back.
    ContentFilter,
}

/// What a call cost, in the provider's tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens sent.
    pub input_tokens: u64,
    /// Tokens received.
    pub output_tokens: u64,
    /// Both.
    pub total_tokens: u64,
}
