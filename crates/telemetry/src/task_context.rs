//! The request, job, session and trace that the current task works on.
//!
//! The context belongs to a task and not to a span of the log, so it costs nothing until a line is written, and no filter of
//! the log removes it.

use std::{cell::RefCell, fmt, future::Future, sync::Arc};

use forebay_shared::ids::{JobId, SessionId};
use tokio::task::futures::TaskLocalFuture;

use crate::{request_id::RequestId, trace_context::TraceContext};

/// What a task works on. Its log lines show all fields that are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskContext {
    /// The id of the HTTP request (`x-request-id`).
    pub request_id: Option<RequestId>,
    /// The id of the API key of the request. It is not secret.
    pub key_id: Option<Arc<str>>,
    /// The job.
    pub job: Option<JobId>,
    /// The session of the job or of the request.
    pub session: Option<SessionId>,
    /// The span that the work belongs to, or the client's span if no traces are exported.
    pub trace: Option<TraceContext>,
}

tokio::task_local! {
    static CURRENT: RefCell<TaskContext>;
}

/// The future of [`scope`].
pub type Scope<F> = TaskLocalFuture<RefCell<TaskContext>, F>;

/// Runs a future with this context.
pub fn scope<F: Future>(context: TaskContext, future: F) -> Scope<F> {
    CURRENT.scope(RefCell::new(context), future)
}

/// The context of the current task. Empty if the task has none.
#[must_use]
pub fn current() -> TaskContext {
    with_current(TaskContext::clone).unwrap_or_default()
}

/// The span that the current task works on, if it has one.
#[must_use]
pub fn current_trace() -> Option<TraceContext> {
    with_current(|context| context.trace).flatten()
}

/// Reads the context of the current task. `None` if the task has none.
pub fn with_current<T>(read: impl FnOnce(&TaskContext) -> T) -> Option<T> {
    let read = |context: &RefCell<TaskContext>| Some(read(&*context.try_borrow().ok()?));
    CURRENT.try_with(read).ok().flatten()
}

/// Changes the context of the current task, if it has one.
pub fn update(change: impl FnOnce(&mut TaskContext)) {
    let change = |context: &RefCell<TaskContext>| {
        if let Ok(mut context) = context.try_borrow_mut() {
            change(&mut context);
        }
    };
    // Without a context there is nothing to change.
    let _ = CURRENT.try_with(change);
}

impl TaskContext {
    /// Calls `write` with the name and value of each known field.
    ///
    /// # Errors
    /// The first error of `write`.
    pub fn write_fields(
        &self,
        mut write: impl FnMut(&'static str, &dyn fmt::Display) -> fmt::Result,
    ) -> fmt::Result {
        if let Some(request_id) = &self.request_id {
            write("request_id", request_id)?;
        }
        if let Some(key_id) = &self.key_id {
            write("key_id", key_id)?;
        }
        if let Some(job) = &self.job {
            write("job_id", job)?;
        }
        if let Some(session) = &self.session {
            write("session_id", session)?;
        }
        if let Some(trace) = &self.trace {
            write("trace_id", &format_args!("{:032x}", trace.trace_id()))?;
            write("span_id", &format_args!("{:016x}", trace.span_id()))?;
        }
        Ok(())
    }

    /// Whether there is no field to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(context: &TaskContext) -> Vec<String> {
        let mut fields = Vec::new();
        let written = context.write_fields(|name, value| {
            fields.push(format!("{name}={value}"));
            Ok(())
        });
        written.expect("nothing fails");
        fields
    }

    #[tokio::test]
    async fn a_task_has_its_own_context_which_it_can_change() {
        assert_eq!(current(), TaskContext::default());
        update(|context| context.session = SessionId::parse("lost").ok());
        assert!(current().is_empty());

        let context = TaskContext {
            request_id: Some(RequestId::random([0x11; 16])),
            ..TaskContext::default()
        };
        let changed = async {
            update(|context| context.session = SessionId::parse("chat").ok());
            tokio::task::yield_now().await;
            current()
        };
        let other = scope(TaskContext::default(), async { current() });
        let (changed, other) = tokio::join!(scope(context, changed), other);
        assert_eq!(
            fields(&changed),
            [
                "request_id=11111111111111111111111111111111",
                "session_id=chat"
            ]
        );
        assert!(other.is_empty());
    }

    #[test]
    fn ids_of_a_trace_are_written_with_all_digits() {
        let context = TaskContext {
            trace: TraceContext::parse("00-00000000000000000000000000000abc-000000000000000d-01"),
            ..TaskContext::default()
        };
        let expected = [
            "trace_id=00000000000000000000000000000abc",
            "span_id=000000000000000d",
        ];
        assert_eq!(fields(&context), expected);
    }
}
