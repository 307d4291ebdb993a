//! A job's timer is due: what should have happened by now, and has not?

use super::{
    Effects, Entry, Lane, LiveProcesses, Refused, State, TAKEOVERS_MAX,
    edit::{self, Exit},
};
use crate::{
    ids::{JobId, ProcessId},
    job::{JobError, Status},
    time::TimeMs,
};

pub(super) fn tick(
    lane: &mut Lane,
    job: JobId,
    presence: Option<&LiveProcesses>,
    now: TimeMs,
    out: &mut Effects,
) -> Result<(), Refused> {
    let (place, entry) = lane.find(job).ok_or(Refused::Gone)?;
    if entry.deadline <= now {
        let error = Some(JobError::new(
            "expired",
            "the job was not done by its expires_at",
        ));
        let exit = Exit {
            status: Status::Expired,
            error,
            settled: None,
        };
        edit::remove(lane, place, exit, now, out);
        return Ok(());
    }
    if place > 0 {
        out.timers.push((job, Some(entry.deadline)));
        return Ok(());
    }
    match &entry.state {
        State::Running { worker, until } => {
            if *until <= now || presence.is_some_and(|seen| is_gone(worker, entry, seen)) {
                take_over(lane, now, out);
            } else {
                let timer = edit::running_timer(*until, entry.deadline, now);
                out.timers.push((job, Some(timer)));
            }
        }
        State::Queued {
            not_before: Some(not_before),
        } if *not_before > now => {
            // A clock ahead of the store's.
            out.timers
                .push((job, Some((*not_before).min(entry.deadline))));
        }
        State::Queued { .. } => {
            let head = &mut lane.entries[0];
            head.state = State::Queued { not_before: None };
            edit::wake_head(head, now, out);
            lane.hold_until = None;
        }
    }
    Ok(())
}

/// A worker that took its job after the list of the living was read is not on it, and not gone.
fn is_gone(worker: &ProcessId, entry: &Entry, seen: &LiveProcesses) -> bool {
    let claimed_before = entry
        .attempts
        .last()
        .is_none_or(|attempt| attempt.started_at < seen.at);
    claimed_before && !seen.alive.contains(worker)
}

/// Queues the head again, without its worker; the fence stays until the next claim raises it.
fn take_over(lane: &mut Lane, now: TimeMs, out: &mut Effects) {
    let head = &mut lane.entries[0];
    let error = JobError::new("worker_lost", "the worker did not finish the attempt");
    head.takeovers += 1;
    if head.takeovers > TAKEOVERS_MAX {
        let error = JobError::new("worker_lost", "too many workers were lost at this job");
        let exit = Exit {
            status: Status::Failed,
            error: Some(error),
            settled: None,
        };
        edit::remove(lane, 0, exit, now, out);
        return;
    }
    // Its worker is not told: if it lives after all and is done first, its reply still counts.
    edit::end_attempt(head, Some(error), now);
    head.state = State::Queued { not_before: None };
    edit::wake_head(head, now, out);
}
