//! A job: one request for one reply of a model.
//!
//! Three documents, each written as seldom as can be: [`Request`] and [`JobMeta`] once, when the job
//! is admitted; [`Outcome`] once, when it ends. What changes in between (attempts, fence, tries) is the
//! job's [`Entry`](crate::lane::Entry) in its lane, so a claim or a retry never rewrites a prompt.

mod meta;
mod outcome;
mod request;
mod status;

pub use meta::JobMeta;
pub use outcome::{Attempt, FinishReason, JobError, Outcome, Reply, Usage};
pub use request::{
    ContextBounds, FunctionDefinition, JsonSchema, ReasoningEffort, Request, ResponseFormat, Stop,
    Tool, ToolChoice, ToolChoiceFunction, ToolChoiceMode,
};
pub use status::Status;
