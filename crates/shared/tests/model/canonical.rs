//! Maps all equivalent states to one state, which keeps the search small.
//!
//! States are equivalent if they differ only in these parts:
//! - the order of workers and of sweepers,
//! - the numbers of fences, because only the order of fences matters,
//! - the `not_before` of a retry that has passed, if every clock is right,
//! - what remains of a job that has ended and cannot be repaired,
//! - a confirmed wake that parks no timer, because the timer has changed since the request of the wake.

use crate::{
    configuration::Configuration,
    mutation::Mutation,
    state::{
        DEAD, EntryState, Job, JobStatus, NotBefore, PublisherPhase, SLOTS, State, WakePublisher,
    },
};

/// Returns the same state for all states that are equivalent to this one.
pub(crate) fn canonical(state: &State, configuration: &Configuration) -> State {
    if !configuration.merges_states {
        return *state;
    }
    let mut state = *state;
    for job in 0..configuration.jobs {
        match state.job(job).status {
            JobStatus::Absent => {}
            JobStatus::Live => renumber_fences(&mut state, job),
            status if state.faults_left.repairs > 0 && configuration.may_repair(status) => {
                renumber_fences(&mut state, job);
            }
            _ => clear_ended_job(&mut state, job),
        }
    }
    if !configuration.clocks_may_be_wrong {
        // Every clock shows that the backoff of the retry has passed, so its `not_before` has no effect any more.
        for entry in state.lane.entries_mut() {
            if entry.state == EntryState::Queued(NotBefore::RetryPassed) {
                entry.state = EntryState::Queued(NotBefore::None);
            }
        }
    }
    let park_moves_any_timer = configuration.has(Mutation::ParkMovesAChangedTimer);
    for publisher in state.publishers_mut() {
        let parks_nothing = publisher.phase == PublisherPhase::WakeConfirmed
            && !publisher.timer_is_unchanged
            && !park_moves_any_timer;
        if parks_nothing || publisher.is_idle() {
            *publisher = WakePublisher::default();
        }
    }
    state.sweepers[..configuration.sweepers].sort_unstable();
    if configuration.one_process {
        state.slots.sort_unstable();
        return state;
    }
    let swapped = swap_workers(&state);
    state.min(swapped)
}

fn swap_workers(state: &State) -> State {
    let mut swapped = *state;
    swapped.slots.swap(0, 1);
    for entry in swapped.lane.entries_mut() {
        if let EntryState::Running(process) = &mut entry.state
            && *process != DEAD
        {
            *process = SLOTS as u8 - 1 - *process;
        }
    }
    swapped
}

/// Clears everything about a job that has ended and cannot be repaired, because it has no effect any more. Such jobs all get
/// the same status.
fn clear_ended_job(state: &mut State, job: u8) {
    *state.job_mut(job) = Job {
        status: JobStatus::Completed,
        ..Job::default()
    };
    for slot in &mut state.slots {
        if slot.job == job {
            slot.reset();
        }
    }
    for publisher in state.publishers_mut() {
        if publisher.job == job {
            *publisher = WakePublisher::default();
        }
    }
}

/// Lowers all fences of a job by the same number, so that the lowest fence in use is 1.
fn renumber_fences(state: &mut State, job: u8) {
    let outcome_fence = state.job(job).fence;
    let newest = state
        .lane
        .find(job)
        .map_or(outcome_fence, |entry| entry.fence);
    let slots = state
        .slots
        .iter()
        .filter(|slot| slot.may_have_fence_of(job));
    let lowest = slots.map(|slot| slot.fence).fold(newest, u8::min);
    let Some(decrease) = lowest.checked_sub(1).filter(|decrease| *decrease > 0) else {
        return;
    };
    // No slot has a fence below the lowest, so no slot can repeat a settlement with such a fence.
    let renumber_settled = |settled_fence: u8| {
        if settled_fence < lowest {
            0
        } else {
            settled_fence - decrease
        }
    };
    if let Some(entry) = state.lane.find_mut(job) {
        entry.fence -= decrease;
        entry.settled_fence = renumber_settled(entry.settled_fence);
    } else {
        let ended = state.job_mut(job);
        ended.fence -= decrease;
        ended.settled_fence = renumber_settled(ended.settled_fence);
    }
    for slot in &mut state.slots {
        if slot.may_have_fence_of(job) {
            slot.fence -= decrease;
        }
    }
}
