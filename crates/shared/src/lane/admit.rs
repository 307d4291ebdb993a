//! A gateway accepts a job.

use super::{
    Admit, Effects, Entry, IfBusy, LANE_MAX, Lane, OutcomeSummary, Refused, State,
    edit::{self, Exit},
};
use crate::{
    document::UnknownFields,
    job::{JobError, Status},
    time::TimeMs,
};

pub(super) fn admit(
    lane: &mut Lane,
    record: Option<OutcomeSummary>,
    event: &Admit,
    now: TimeMs,
    out: &mut Effects,
) -> Result<(), Refused> {
    if lane.find(event.job).is_some() || record.is_some() != event.repair {
        return Err(Refused::Exists);
    }
    if event.if_busy == IfBusy::Reject && !lane.entries.is_empty() {
        return Err(Refused::Busy);
    }
    if matches!(event.if_busy, IfBusy::Rollback | IfBusy::Interrupt) {
        clear(lane, event.if_busy, now, out);
    }
    if lane.entries.len() >= LANE_MAX {
        return Err(Refused::Full);
    }

    let entry = Entry {
        job: event.job,
        class: event.class,
        // A repair's fence is above every fence an old attempt may still hold.
        fence: record.map_or(0, |mark| mark.fence + 1),
        settled: record.map_or(0, |mark| mark.settled),
        state: State::Queued { not_before: None },
        deadline: event.deadline,
        tool_results: event.tool_results,
        claimed: false,
        tries: 0,
        takeovers: 0,
        admitted_at: now,
        started_at: None,
        attempts: Vec::new(),
        unknown: UnknownFields::NONE,
        unknown_in_state: UnknownFields::NONE,
    };
    if event.repair {
        out.reopened = Some(event.job);
    } else {
        out.admitted = true;
    }
    insert(lane, entry, now, out);
    Ok(())
}

/// Cancels every live job of the lane, for the newer message that takes their place.
fn clear(lane: &mut Lane, why: IfBusy, now: TimeMs, out: &mut Effects) {
    lane.hold_until = None;
    if why == IfBusy::Interrupt {
        out.keep_inputs = lane.entries.iter().map(|entry| entry.job).collect();
    }
    // From the back, so that no entry becomes a head on the way.
    let first = out.ended.len();
    for place in (0..lane.entries.len()).rev() {
        let error = JobError::new("cancelled", "a newer message of the session took its place");
        let exit = Exit {
            status: Status::Cancelled,
            error: Some(error),
            settled: None,
        };
        edit::remove(lane, place, exit, now, out);
    }
    out.ended[first..].reverse();
}

/// Puts a new entry in its place: last, but for tool results, which go before what nobody has taken.
fn insert(lane: &mut Lane, entry: Entry, now: TimeMs, out: &mut Effects) {
    let place = if entry.tool_results {
        // Behind results that wait already, and never before a job that a worker ever took: an
        // attempt at that one may still finish, and only a head may.
        let stays = |other: &&Entry| other.claimed || other.tool_results;
        lane.entries.iter().take_while(stays).count()
    } else {
        lane.entries.len()
    };
    let (job, deadline) = (entry.job, entry.deadline);
    let ends_hold = entry.tool_results;
    if place > 0 {
        out.timers.push((job, Some(deadline)));
        lane.entries.insert(place, entry);
        if ends_hold {
            edit::end_hold(lane, now, out);
        }
        return;
    }
    if let Some(displaced) = lane.entries.first_mut() {
        displaced.state = State::Queued { not_before: None };
        out.timers.push((displaced.job, Some(displaced.deadline)));
    }
    lane.entries.insert(0, entry);
    edit::ready_head(lane, now, out);
}
