//! Plants faults around `lane::apply`: in its arguments and in its result. The steps plant the rest. Production code
//! does not know them.

use forebay_shared::lane::{Event, IfBusy, Lane, OutcomeSummary, State};

use crate::{
    mutation::Mutation,
    protocol::{ModelChange, job_number},
    state::{self, EntryState, Timer},
};

/// Changes what `apply` gets.
pub(crate) fn change_input(
    mutation: Mutation,
    lane: &mut Lane,
    record: &mut Option<OutcomeSummary>,
    event: &mut Event,
) {
    match (mutation, event) {
        (
            Mutation::NoFence,
            Event::Finish { job, fence, .. }
            | Event::Retry { job, fence, .. }
            | Event::Release { job, fence },
        ) => {
            if let Some((_, entry)) = lane.find(*job) {
                *fence = entry.fence;
            }
        }
        (Mutation::NoSettled, _) => {
            for entry in &mut lane.entries {
                entry.settled = 0;
            }
            if let Some(mark) = record {
                mark.settled = 0;
            }
        }
        (Mutation::ResultsDisplaceClaimedHead, Event::Admit(admit))
            if admit.tool_results && admit.if_busy == IfBusy::Enqueue =>
        {
            for entry in &mut lane.entries {
                entry.claimed &= !matches!(entry.state, State::Queued { .. });
            }
        }
        (Mutation::NoOwnClaim, Event::Claim { repeated_fence, .. }) => *repeated_fence = None,
        _ => {}
    }
}

/// Changes what `apply` returned.
pub(crate) fn change_output(
    mutation: Mutation,
    before: &state::Lane,
    event: &Event,
    change: &mut ModelChange,
) {
    let about = job_number(event.job());
    let not_due = change.not_due;
    let timers = &mut change.timers;
    match (mutation, event) {
        (Mutation::NoTimers, _) => {
            for timer in timers.iter_mut().flatten() {
                if *timer != Timer::None {
                    *timer = Timer::Never;
                }
            }
        }
        (Mutation::NewHeadKeepsItsTimer, event) if !matches!(event, Event::Admit(_)) => {
            for (job, timer) in timers.iter_mut().enumerate() {
                if job != usize::from(about) {
                    *timer = None;
                }
            }
        }
        (Mutation::RunningIsLookedAtOnce, Event::Tick { .. }) => {
            if let Some(entry) = change.lane.find(about)
                && matches!(entry.state, EntryState::Running(_))
            {
                timers[usize::from(about)] = Some(Timer::Never);
            }
        }
        (Mutation::FenceFallsAtRelease, Event::Release { .. }) if change.lane != *before => {
            if let Some(entry) = change.lane.find_mut(about) {
                entry.fence = entry.fence.saturating_sub(1);
            }
        }
        (_, Event::Admit(admit)) if admit.repair => {
            let Some(entry) = change.lane.find_mut(about) else {
                return;
            };
            match mutation {
                Mutation::RepairStartsAnew => (entry.fence, entry.settled) = (0, 0),
                Mutation::RepairKeepsTheFence => entry.fence -= 1,
                Mutation::RepairKeepsTheClaim => entry.claimed = true,
                _ => {}
            }
        }
        (Mutation::ResultsDisplaceClaimedHead, Event::Admit(_)) => {
            for entry in change.lane.entries_mut() {
                if let Some(was) = before.find(entry.job) {
                    entry.claimed = was.claimed;
                }
            }
        }
        (Mutation::RefusedClaimLeavesTimer, Event::Claim { .. }) if not_due => {
            timers[usize::from(about)] = None;
        }
        (Mutation::TickLeavesThePause, Event::Tick { .. }) => {
            if let Some(was) = before.find(about)
                && matches!(was.state, EntryState::Queued(_))
                && let Some(entry) = change.lane.find_mut(about)
            {
                entry.state = was.state;
                change.lane.hold = before.hold;
            }
        }
        _ => {}
    }
}
