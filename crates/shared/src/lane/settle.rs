//! An attempt ends: finish, retry, release. Only the newest fence has a say, and a repeat of what is
//! settled already is a success without effects.

use super::{
    Effects, Lane, OutcomeSummary, Refused, State,
    edit::{self, Exit},
};
use crate::{
    ids::JobId,
    job::{JobError, Status},
    time::TimeMs,
};

/// Whether an attempt may settle its job.
enum Say {
    /// It is the newest, and its job is the head.
    Yes,
    /// This very call took effect before.
    Repeat,
}

/// A job that tick has put back is still its last attempt's to settle, until somebody claims it: the
/// reply is there, and a second call would cost more than to take it.
fn say(
    lane: &Lane,
    record: Option<OutcomeSummary>,
    job: JobId,
    fence: u64,
) -> Result<Say, Refused> {
    match lane.find(job) {
        Some((_, entry)) if entry.settled == fence => Ok(Say::Repeat),
        Some((_, entry)) if entry.fence != fence => Err(Refused::Fenced),
        Some((0, entry)) if entry.claimed => Ok(Say::Yes),
        Some(_) => Err(Refused::NotHead),
        None if record.is_some_and(|mark| mark.settled == fence) => Ok(Say::Repeat),
        None => Err(Refused::Gone),
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "the fields of one event, taken apart by apply"
)]
pub(super) fn finish(
    lane: &mut Lane,
    record: Option<OutcomeSummary>,
    job: JobId,
    fence: u64,
    error: Option<&JobError>,
    hold_ms: Option<u64>,
    now: TimeMs,
    out: &mut Effects,
) -> Result<(), Refused> {
    if let Say::Repeat = say(lane, record, job, fence)? {
        return Ok(());
    }
    let status = if error.is_some() {
        Status::Failed
    } else {
        Status::Completed
    };
    if status == Status::Completed {
        out.keep_turns = true;
        lane.hold_until = hold_ms.map(|ms| now.plus_ms(ms));
    }
    let exit = Exit {
        status,
        error: error.cloned(),
        settled: Some(fence),
    };
    edit::remove(lane, 0, exit, now, out);
    Ok(())
}

/// How a failed attempt goes on.
pub(super) struct Retry<'a> {
    pub(super) not_before: TimeMs,
    pub(super) tries_max: u32,
    pub(super) error: &'a JobError,
}

pub(super) fn retry(
    lane: &mut Lane,
    record: Option<OutcomeSummary>,
    job: JobId,
    fence: u64,
    retry: &Retry<'_>,
    now: TimeMs,
    out: &mut Effects,
) -> Result<(), Refused> {
    if let Say::Repeat = say(lane, record, job, fence)? {
        return Ok(());
    }
    let head = &mut lane.entries[0];
    head.tries += 1;
    if head.tries >= retry.tries_max {
        let error = Some(retry.error.clone());
        let exit = Exit {
            status: Status::Failed,
            error,
            settled: Some(fence),
        };
        edit::remove(lane, 0, exit, now, out);
        return Ok(());
    }
    edit::end_attempt(head, Some(retry.error.clone()), now);
    head.settled = fence;
    head.state = State::Queued {
        not_before: Some(retry.not_before),
    };
    out.timers
        .push((job, Some(retry.not_before.min(head.deadline))));
    Ok(())
}

pub(super) fn release(
    lane: &mut Lane,
    record: Option<OutcomeSummary>,
    job: JobId,
    fence: u64,
    now: TimeMs,
    out: &mut Effects,
) -> Result<(), Refused> {
    if let Say::Repeat = say(lane, record, job, fence)? {
        return Ok(());
    }
    let head = &mut lane.entries[0];
    let error = JobError::new("released", "the worker shut down before the call ended");
    edit::end_attempt(head, Some(error), now);
    head.settled = fence;
    head.state = State::Queued { not_before: None };
    edit::wake_head(head, now, out);
    Ok(())
}
