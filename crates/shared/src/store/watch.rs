//! Notices: hints that a job has ended, that a provider call was cancelled, or that an account has changed.

use tokio::sync::mpsc;

use crate::ids::{JobId, ProcessId};

/// What a caller can watch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// The end of this job.
    Job(JobId),
    /// The provider calls of this process that must be cancelled, because their jobs have ended.
    Calls(ProcessId),
    /// Changes of accounts. The notice names no account, so its job is [`JobId::NIL`].
    Accounts,
}

/// A stream of notices on one topic. Any notice may be lost, so the caller must also read the state from time to time.
#[derive(Debug)]
pub struct Notices {
    receiver: mpsc::Receiver<JobId>,
}

impl Notices {
    /// The maximum number of buffered notices. Further notices are dropped.
    pub const BUFFERED_MAX: usize = 256;

    /// Creates a stream and its sender. The sender's `is_closed` returns whether the stream has been dropped.
    #[must_use]
    pub fn channel() -> (mpsc::Sender<JobId>, Self) {
        let (sender, receiver) = mpsc::channel(Self::BUFFERED_MAX);
        (sender, Self { receiver })
    }

    /// Waits for the next notice and returns its job. `None` when the stream has ended. The caller then reads the state
    /// and watches again.
    pub async fn next(&mut self) -> Option<JobId> {
        self.receiver.recv().await
    }
}
