//! A job's timer is due. The job expires, is taken from its worker, gets a wake, or gets a later timer.

use super::{
    Entry, LiveProcesses, Refused, State, TAKEOVERS_MAX,
    transition::{self, JobEnd, Transition},
};
use crate::{
    ids::{JobId, ProcessId},
    job::{JobError, Status},
};

impl Transition<'_> {
    pub(super) fn tick(&mut self, job: JobId, live: Option<&LiveProcesses>) -> Result<(), Refused> {
        let (position, entry) = self.lane.find(job).ok_or(Refused::Gone)?;
        let deadline = entry.deadline;
        if deadline <= self.now {
            let error = expired(&entry.state);
            self.remove(
                position,
                JobEnd {
                    status: Status::Expired,
                    error: Some(error),
                    settled_fence: None,
                },
            );
            return Ok(());
        }
        if position > 0 {
            self.set_timer(job, deadline);
            return Ok(());
        }
        match &entry.state {
            State::Running { worker, until } => {
                if *until <= self.now || live.is_some_and(|live| is_gone(worker, entry, live)) {
                    self.take_over();
                } else {
                    let timer = transition::running_timer(*until, deadline, self.now);
                    self.set_timer(job, timer);
                }
            }
            // The tick is too early. The job has changed since the sweeper read the timer, or the sweeper's clock was
            // ahead when it read the timer.
            State::Queued {
                not_before: Some(not_before),
            } if *not_before > self.now => {
                let timer = (*not_before).min(deadline);
                self.set_timer(job, timer);
            }
            State::Deferred(deferral) if deferral.until > self.now => {
                let timer = deferral.until.min(deadline);
                self.set_timer(job, timer);
            }
            State::Queued { .. } | State::Deferred(_) => {
                self.wake_head();
                self.lane.hold_until = None;
            }
        }
        Ok(())
    }

    /// Takes the head from its worker and queues it again. The fence stays until the next claim raises it.
    fn take_over(&mut self) {
        let head = &mut self.lane.entries[0];
        head.takeovers += 1;
        if head.takeovers > TAKEOVERS_MAX {
            let error = JobError::new(
                "worker_lost",
                "too many workers were lost while they ran this job",
            );
            self.remove(
                0,
                JobEnd {
                    status: Status::Failed,
                    error: Some(error),
                    settled_fence: None,
                },
            );
            return;
        }
        // The worker gets no notice. If the worker is alive and finishes before the next claim, its reply counts.
        let error = JobError::new("worker_lost", "the worker did not finish the attempt");
        transition::end_attempt(head, Some(error), self.now);
        self.wake_head();
    }
}

/// The error of an expired job. It ends with the provider's last error if the job waited for its provider.
fn expired(state: &State) -> JobError {
    let message = "the job was not done by its expires_at";
    let message = match state {
        State::Deferred(deferral) => format!(
            "{message}; it waited for {}: {}",
            deferral.account, deferral.error.message
        ),
        State::Queued { .. } | State::Running { .. } => message.to_owned(),
    };
    JobError::new("expired", message)
}

/// Whether the list of live processes shows that a job's worker is gone. The list shows nothing about a worker that
/// claimed the job after the list was read.
fn is_gone(worker: &ProcessId, entry: &Entry, live: &LiveProcesses) -> bool {
    let claimed_before = entry
        .attempts
        .last()
        .is_none_or(|attempt| attempt.started_at < live.read_at);
    claimed_before && !live.alive.contains(worker)
}
