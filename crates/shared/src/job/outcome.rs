//! How a job ended. The commit that ends the job writes this document.

use schemars::JsonSchema;
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
    /// One of the four statuses of an ended job.
    pub status: Status,
    /// When a worker first claimed the job.
    pub started_at: Option<TimeMs>,
    /// When the job ended.
    pub ended_at: TimeMs,
    /// The newest fence that the job had. A repair begins with a higher fence.
    pub fence: u64,
    /// The newest fence that settled a claim of the job; 0 for none. The rules recognise a repeated finish, retry,
    /// deferral or release by this fence.
    #[serde(rename = "settled")]
    pub settled_fence: u64,
    /// The attempts, oldest first. At most [`ATTEMPTS_MAX`](crate::lane::ATTEMPTS_MAX).
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
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct JobError {
    /// A stable word for programs, such as `rate_limited`.
    pub code: String,
    /// A sentence for people, of at most [`JobError::MESSAGE_BYTES_MAX`] bytes.
    #[schemars(description = "A sentence for people, of at most 1,000 bytes.")]
    pub message: String,
    /// The text of a reply that is unfinished, comes with an error, or has an unsupported part. At most
    /// [`JobError::DETAIL_BYTES_MAX`] bytes.
    #[schemars(
        description = "The text of a reply that is unfinished, comes with an error, or has an unsupported part. At most 4,096 \
                       bytes."
    )]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Fields that this release does not know.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

impl JobError {
    /// The most bytes of a message. A longer message is cut.
    pub const MESSAGE_BYTES_MAX: usize = 1_000;
    /// The most bytes of a detail. A longer detail is cut, because a lane holds the errors of all attempts at its jobs.
    pub const DETAIL_BYTES_MAX: usize = 4_096;

    /// An error with its message cut to [`Self::MESSAGE_BYTES_MAX`].
    #[must_use]
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: cut(message.into(), Self::MESSAGE_BYTES_MAX),
            detail: None,
            unknown: UnknownFields::NONE,
        }
    }

    /// The error with a detail, cut to [`Self::DETAIL_BYTES_MAX`].
    #[must_use]
    pub fn with_detail(mut self, detail: Option<String>) -> Self {
        self.detail = detail.map(|text| cut(text, Self::DETAIL_BYTES_MAX));
        self
    }
}

/// The text with at most `bytes_max` bytes. A text that was cut ends with `...`.
fn cut(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max - 3));
        text.push_str("...");
    }
    text
}

/// A model's reply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// The text; absent when the model only called tools.
    pub text: Option<String>,
    /// The model's reasoning; only of a reply with neither text nor tool calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<String>,
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// No model was called: the job contained only some of the results of parallel tool calls, and a later job contains the
    /// others.
    PartialResults,
    /// A reason that this release does not know.
    #[serde(untagged)]
    Unknown(Box<str>),
}

/// What a call cost, in the provider's tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// Tokens sent.
    pub input_tokens: u64,
    /// Tokens received.
    pub output_tokens: u64,
    /// The sum of both.
    pub total_tokens: u64,
    /// Tokens sent that the provider had in its cache, if the provider reports them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_input_tokens: Option<u64>,
    /// Tokens that the model spent on reasoning, if the provider reports them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_tokens: Option<u64>,
    /// Fields that this release does not know.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}
