//! A job: one request for one reply of a model.
//!
//! A job has three documents. [`Request`] and [`JobMeta`] are written when the job is admitted, [`Outcome`] when it ends. Only a
//! repair changes them: it replaces the metadata and deletes the outcome. What changes in between (attempts, fence,
//! tries) is in the job's [`Entry`](crate::lane::Entry) in its lane.
//! So a claim or a retry never rewrites a prompt.

mod extra_body;
mod meta;
mod outcome;
mod request;
mod status;

pub use extra_body::extra_body_refusal;
pub use meta::{JobMeta, ReplacedTurns};
pub use outcome::{Attempt, FinishReason, JobError, Outcome, Reply, Usage};
pub use request::{
    ContextBounds, FunctionDefinition, JsonSchema, ReasoningEffort, Request, ResponseFormat, Stop,
    Tool, ToolChoice, ToolChoiceFunction, ToolChoiceMode,
};
pub use status::Status;
