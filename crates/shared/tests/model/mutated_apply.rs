//! Applies mutations to the arguments and to the result of `lane::apply`. `steps` applies the mutations of processes. Product
//! code contains no mutation.

use forebay_shared::lane::{Event, IfBusy, Lane, OutcomeSummary, State};

use crate::{
    mutation::Mutation,
    protocol::{ModelChange, job_number},
    state::{self, EntryState, Timer},
};

/// Applies a mutation to the arguments of `lane::apply`.
pub(crate) fn mutate_arguments(
    mutation: Mutation,
    lane: &mut Lane,
    outcome: &mut Option<OutcomeSummary>,
    event: &mut Event,
) {
    match (mutation, event) {
        (
            Mutation::SettlementsIgnoreTheFence,
            Event::Finish { job, fence, .. }
            | Event::Retry { job, fence, .. }
            | Event::Release { job, fence, .. }
            | Event::Defer {
                job,
                fence: Some(fence),
                ..
            },
        ) => {
            if let Some((_, entry)) = lane.find(*job) {
                *fence = entry.fence;
            }
        }
        (Mutation::SettledFenceIsNotRecorded, _) => {
            for entry in &mut lane.entries {
                entry.settled_fence = 0;
            }
            if let Some(outcome) = outcome {
                outcome.settled_fence = 0;
            }
        }
        (Mutation::ResultsDisplaceClaimedHead, Event::Admit(admit))
            if admit.is_tool_results && admit.if_busy == IfBusy::Enqueue =>
        {
            // `apply` inserts no entry before a claimed one. `mutate_result` restores the flag.
            for entry in &mut lane.entries {
                entry.claimed &= !matches!(entry.state, State::Queued { .. });
            }
        }
        (Mutation::RunningHeadIsDeferred, Event::Defer { fence: None, .. }) => {
            for entry in &mut lane.entries {
                if matches!(entry.state, State::Running { .. }) {
                    entry.state = State::Queued { not_before: None };
                }
            }
        }
        (Mutation::RepeatedClaimCountsAsNew, Event::Claim { repeated_fence, .. }) => {
            *repeated_fence = None;
        }
        _ => {}
    }
}

/// Applies a mutation to the result of `lane::apply`.
pub(crate) fn mutate_result(
    mutation: Mutation,
    before: &state::Lane,
    event: &Event,
    change: &mut ModelChange,
) {
    let event_job = job_number(event.job());
    let not_due = change.not_due;
    let timers = &mut change.timers;
    match (mutation, event) {
        (Mutation::TimersFireOnlyAtTheDeadline, _) => {
            for timer in timers.iter_mut().flatten() {
                if *timer != Timer::None {
                    *timer = Timer::AtDeadline;
                }
            }
        }
        (Mutation::NewHeadKeepsItsTimer, event) if !matches!(event, Event::Admit(_)) => {
            for (job, timer) in timers.iter_mut().enumerate() {
                if job != usize::from(event_job) {
                    *timer = None;
                }
            }
        }
        (Mutation::RunningJobIsCheckedOnlyOnce, Event::Tick { .. }) => {
            if let Some(entry) = change.lane.find(event_job)
                && matches!(entry.state, EntryState::Running(_))
            {
                timers[usize::from(event_job)] = Some(Timer::AtDeadline);
            }
        }
        (Mutation::FenceFallsAtRelease, Event::Release { .. }) if change.lane != *before => {
            if let Some(entry) = change.lane.find_mut(event_job) {
                entry.fence = entry.fence.saturating_sub(1);
            }
        }
        (_, Event::Admit(admit)) if admit.is_repair => {
            let Some(entry) = change.lane.find_mut(event_job) else {
                return;
            };
            match mutation {
                Mutation::RepairResetsTheFence => (entry.fence, entry.settled_fence) = (0, 0),
                Mutation::RepairKeepsTheFence => entry.fence -= 1,
                Mutation::RepairKeepsTheClaimedFlag => entry.claimed = true,
                _ => {}
            }
        }
        (Mutation::ResultsDisplaceClaimedHead, Event::Admit(_)) => {
            for entry in change.lane.entries_mut() {
                if let Some(entry_before) = before.find(entry.job) {
                    entry.claimed = entry_before.claimed;
                }
            }
        }
        (Mutation::DeferralRemovesTheTimer, Event::Defer { .. }) => {
            timers[usize::from(event_job)] = Some(Timer::None);
        }
        (Mutation::DeferralClearsTheClaimedFlag, Event::Defer { .. }) => {
            if let Some(entry) = change.lane.find_mut(event_job) {
                entry.claimed = false;
            }
        }
        (Mutation::DeferralIsNotRecorded, Event::Defer { fence: Some(_), .. }) => {
            if let Some(entry_before) = before.find(event_job)
                && let Some(entry) = change.lane.find_mut(event_job)
            {
                entry.settled_fence = entry_before.settled_fence;
            }
        }
        (Mutation::EarlyClaimLeavesTheTimer, Event::Claim { .. }) if not_due => {
            timers[usize::from(event_job)] = None;
        }
        (Mutation::TickKeepsNotBefore, Event::Tick { .. }) => {
            if let Some(entry_before) = before.find(event_job)
                && matches!(entry_before.state, EntryState::Queued(_))
                && let Some(entry) = change.lane.find_mut(event_job)
            {
                entry.state = entry_before.state;
                change.lane.hold = before.hold;
            }
        }
        _ => {}
    }
}
