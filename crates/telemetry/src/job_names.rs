//! Forebay's own attributes and span names. None of them is part of a convention.

/// The id of a job.
pub const JOB_ID: &str = "forebay.job.id";
/// The id of a session.
pub const SESSION_ID: &str = "forebay.session.id";
/// The class of a job: `interactive` or `batch`.
pub const CLASS: &str = "forebay.job.class";
/// The number of an attempt, counted from 1.
pub const ATTEMPT: &str = "forebay.job.attempt";
/// How an attempt ended, as in the log.
pub const OUTCOME: &str = "forebay.job.outcome";
/// Whether the job is queued for another try after an error.
pub const IS_RETRIED: &str = "forebay.job.is_retried";
/// The id of a request (`x-request-id`).
pub const REQUEST_ID: &str = "forebay.request.id";

/// The span of a wake, from its publish to its confirmation.
pub const WAKE_SPAN: &str = "send wake";
/// The span of an attempt, from the claim to the commit of its outcome.
pub const ATTEMPT_SPAN: &str = "run attempt";
/// The span of the commit that ends an attempt.
pub const COMMIT_SPAN: &str = "commit outcome";
