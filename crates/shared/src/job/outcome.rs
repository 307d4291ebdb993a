//! How a job ended. The commit that ends the job writes this document.

use serde::{Deserialize, Serialize};

use super::Status;
use crate::{
    document::{Document, DocumentVersion, UnknownFields},
    ids::ProcessId,
    time::TimeMs,
    turn::ToolCall,
};

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The version of the document's form.
    #[serde(default)]
    pub v: DocumentVersion,
    /// One of the four terminal states.
    pub status: Status,
    /// When a worker first claimed the job.
    pub started_at: Option<TimeMs>,
    /// When the job ended.
    pub ended_at: TimeMs,
    /// The newest fence that the job had. A repair continues from here.
    pub fence: u64,
    /// The fence that settled the job, which identifies a repeated finish, retry or release; 0 for none.
    pub settled: u64,
    /// The attempts made, oldest first; at most [`ATTEMPTS_MAX`](crate::lane::ATTEMPTS_MAX).
    pub attempts: Vec<Attempt>,
    /// The reply of a completed job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<Reply>,
    /// Why there is no reply; absent for a completed job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<JobError>,
    /// The provider that was called last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Fields of the job's lane entry that were unknown to the process that ended the job.
    #[serde(default, skip_serializing_if = "UnknownFields::is_empty")]
    pub entry: UnknownFields,
    /// Fields that this release does not know.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

impl Document for Outcome {
    const NAME: &'static str = "outcome of a job";

    fn version(&self) -> DocumentVersion {
        self.v
    }
}

/// One attempt at a job.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Attempt {
    /// The number of the attempt, from 1.
    pub n: u32,
    /// The process that made the attempt.
    pub worker: ProcessId,
    /// When the job was claimed.
    pub started_at: TimeMs,
    /// When the attempt ended; absent while the attempt runs.
    pub ended_at: Option<TimeMs>,
    /// What went wrong; absent while the attempt runs and after a success.
    pub error: Option<JobError>,
    /// Fields that this release does not know.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

/// Why a job, or an attempt at a job, did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct JobError {
    /// A stable word for programs, such as `rate_limited`.
    pub code: String,
    /// A sentence for people, of at most [`JobError::MESSAGE_BYTES_MAX`] bytes.
    pub message: String,
    /// Fields that this release does not know.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

impl JobError {
    /// The most bytes of a message. A longer message is cut.
    pub const MESSAGE_BYTES_MAX: usize = 1_000;

    /// An error with its message cut to [`Self::MESSAGE_BYTES_MAX`].
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
            unknown: UnknownFields::NONE,
        }
    }
}

/// A model's reply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// The text; absent when the model only called tools.
    pub text: Option<String>,
    /// The tools that the model called.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// Why the model stopped.
    pub finish_reason: FinishReason,
    /// What the call cost, if the provider reported it.
    pub usage: Option<Usage>,
    /// How many turns were sent to the provider, the input included.
    pub turns_sent: u32,
    /// How many turns of the session were left out, because they exceeded the bounds of the context.
    pub turns_dropped: u32,
    /// Fields that this release does not know.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

/// Why a model stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// The reply is complete, or reached a stop sequence.
    Stop,
    /// The reply reached the bound on its tokens.
    Length,
    /// The model calls tools and waits for their results.
    ToolCalls,
    /// The provider withheld a part of the reply.
    ContentFilter,
    /// A reason that this release does not know.
    #[serde(untagged)]
    Unknown(Box<str>),
}

/// What a call cost, in the provider's tokens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens sent.
    pub input_tokens: u64,
    /// Tokens received.
    pub output_tokens: u64,
    /// The sum of both.
    pub total_tokens: u64,
    /// Fields that this release does not know.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}
