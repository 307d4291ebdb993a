//! Notices: hints that something is worth a look.

use tokio::sync::mpsc;

use crate::ids::{JobId, ProcessId};

/// What a notice can be about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// This job has ended.
    Job(JobId),
    /// A call that this process makes has lost its job.
    Calls(ProcessId),
}

/// A stream of notices on one topic.
#[derive(Debug)]
pub struct Notices {
    receiver: mpsc::Receiver<JobId>,
}

impl Notices {
    /// How many notices wait at most; further ones are lost, as any may be.
    pub const WAITING_MAX: usize = 256;

    /// A stream and what feeds it. A sender whose stream was dropped says so by `is_closed`.
    #[must_use]
    pub fn channel() -> (mpsc::Sender<JobId>, Self) {
        let (sender, receiver) = mpsc::channel(Self::WAITING_MAX);
        (sender, Self { receiver })
    }

    /// The next one; waits for it. `None` when there will be no more: look again, watch again.
    pub async fn next(&mut self) -> Option<JobId> {
        self.receiver.recv().await
    }
}
