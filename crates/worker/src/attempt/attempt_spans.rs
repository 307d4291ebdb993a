//! The spans of an attempt, and what its log lines show.
//!
//! The attempt is a part of the trace of its job's submit. The wake that started it is only linked, because the span that sends a
//! wake may belong to another job of the session.

use forebay_shared::{job::JobMeta, wake::Wake};
use forebay_telemetry::{
    NewSpan, Span, SpanKind, TaskContext, TraceContext, job_names, messaging_names, task_context,
};

use super::{attempt_end::AttemptEnd, call_outcome::CallOutcome, claimed_job::ClaimedJob};

/// What the log lines of an attempt show before its job is read.
pub(super) fn task_context(wake: &Wake) -> TaskContext {
    TaskContext {
        job: Some(wake.job),
        session: wake.session.clone(),
        ..TaskContext::default()
    }
}

/// Begins the span of an attempt. `meta` is `None` if the job could not be read: then the span begins a trace of its own. `wake`
/// is `None` if the message went back to the queue.
pub(super) fn begin(job: &mut ClaimedJob, meta: Option<&JobMeta>, wake: Option<&Wake>) {
    let submit = meta.and_then(|meta| meta.traceparent.as_deref());
    let submit = submit.and_then(TraceContext::parse);
    job.span = Span::start(|| {
        let wake = wake.and_then(|wake| wake.traceparent.as_deref());
        NewSpan::new(SpanKind::Consumer, job_names::ATTEMPT_SPAN)
            .child_of(submit)
            .linked_to(wake.and_then(TraceContext::parse))
            .begun_before(job.began.elapsed())
    });
    let trace = job.span.context().or(submit);
    task_context::update(|context| context.trace = trace);
    if job.span.is_recording() {
        job.span.set(job_names::JOB_ID, job.job.to_string());
        job.span.set(job_names::ATTEMPT, u64::from(job.attempt));
        let class = meta.map(|meta| meta.class);
        if let Some(class) = class.or(wake.map(|wake| wake.class)) {
            job.span.set(job_names::CLASS, class.to_string());
            let process = messaging_names::PROCESS;
            job.span.set_message(process, class.to_string());
        }
        if let Some(session) = job.lane.session() {
            job.span.set(job_names::SESSION_ID, session.to_string());
        }
    }
}

/// The outcome of an attempt whose job was cancelled, has expired or belongs to another worker.
const DROPPED: &str = "dropped";
/// The outcome of an attempt whose end the store did not commit.
const NOT_COMMITTED: &str = "not_committed";

/// Marks the attempt as failed, because its outcome is lost.
pub(super) fn fail_uncommitted(job: &ClaimedJob) {
    job.span.fail(NOT_COMMITTED);
}

/// The span of the commit that ends an attempt.
pub(super) struct CommitSpan {
    span: Span,
    /// The outcome of the attempt if nothing is committed.
    uncommitted: &'static str,
}

impl CommitSpan {
    /// Begins the span. It is empty for a dropped call, which has no commit, and if the attempt has no span.
    pub(super) fn start(job: &ClaimedJob, outcome: &CallOutcome) -> Self {
        let span = match (job.span.context(), outcome) {
            (None, _) | (_, CallOutcome::Dropped { .. }) => Span::NONE,
            (attempt, _) => Span::start(|| {
                NewSpan::new(SpanKind::Internal, job_names::COMMIT_SPAN).child_of(attempt)
            }),
        };
        let is_dropped = matches!(outcome, CallOutcome::Dropped { .. });
        Self {
            span,
            uncommitted: if is_dropped { DROPPED } else { NOT_COMMITTED },
        }
    }

    /// Ends the span, and writes the outcome into the span of the attempt. `end` is how the attempt ended; `None` if its outcome
    /// was not committed.
    pub(super) fn end(self, job: &ClaimedJob, end: Option<&AttemptEnd>) {
        let Some(end) = end else {
            job.span.set(job_names::OUTCOME, self.uncommitted);
            self.span.fail(NOT_COMMITTED);
            return;
        };
        if job.span.is_recording() {
            self.span.set(job_names::OUTCOME, end.code.clone());
            job.span.set(job_names::OUTCOME, end.code.clone());
            job.span.set(job_names::IS_RETRIED, end.is_retried());
            if end.is_error() {
                job.span.fail(&end.code);
            }
        }
    }
}
