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
            self.expire(position);
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

    /// Expires the job at `position`.
    ///
    /// If that job is a deferred head, all other jobs of the lane whose deadlines have passed expire too. At their own ticks, the
    /// head would be gone, and with it the error of the account that they waited for.
    fn expire(&mut self, position: usize) {
        let ended_before = self.effects.ended.len();
        if position == 0 && matches!(self.lane.entries[0].state, State::Deferred(_)) {
            // From the last entry to the first, so that no other entry becomes the head.
            for behind in (1..self.lane.entries.len()).rev() {
                if self.lane.entries[behind].deadline <= self.now {
                    self.remove_expired(behind);
                }
            }
        }
        self.remove_expired(position);
        self.effects.ended[ended_before..].reverse();
    }

    fn remove_expired(&mut self, position: usize) {
        let head = &self.lane.entries[0].state;
        let end = JobEnd {
            status: Status::Expired,
            error: Some(expired(head, position == 0)),
            settled_fence: None,
        };
        self.remove(position, end);
    }

    /// Takes the head from its worker and queues it again, or fails it after too many takeovers. The fence stays until the next
    /// claim raises it.
    fn take_over(&mut self) {
        self.effects.is_takeover = true;
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

/// The error of an expired job. If the head of its lane waits for its provider, the message ends with the provider's last
/// error.
fn expired(head: &State, is_head: bool) -> JobError {
    let message = "the job was not done by its expires_at";
    let message = match head {
        State::Deferred(deferral) => {
            let waiting = if is_head {
                "it"
            } else {
                "a job before it in its session"
            };
            let (account, error) = (&deferral.account, &deferral.error.message);
            format!("{message}; {waiting} waited for {account}: {error}")
        }
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
