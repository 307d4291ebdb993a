//! One state for all equivalent states, which keeps the search small.
//!
//! Equivalent are states that differ only in the names of workers and sweepers, in the numbers of fences (only their
//! order matters), in what is left of a job that has ended for good, or in stale reads of timers.

use crate::{
    configuration::Configuration,
    mutation::Mutation,
    state::{DEAD, EntryState, Job, JobLife, NotBefore, PublishStep, SLOTS, State, WakePublisher},
};

/// The state that stands for all that are equivalent to this one.
pub(crate) fn canonical(state: &State, configuration: &Configuration) -> State {
    if !configuration.merges_states {
        return *state;
    }
    let mut state = *state;
    for job in 0..configuration.jobs {
        match state.job(job).life {
            JobLife::Absent => {}
            JobLife::Live => renumber_fences(&mut state, job),
            life if state.faults_left.repairs > 0 && configuration.may_repair(life) => {
                renumber_fences(&mut state, job);
            }
            _ => forget(&mut state, job),
        }
    }
    if !configuration.skew {
        // Without skew, a retry whose wait has passed is simply due.
        for entry in state.lane.entries_mut() {
            if entry.state == EntryState::Queued(NotBefore::RetryPassed) {
                entry.state = EntryState::Queued(NotBefore::None);
            }
        }
    }
    let any_woken = configuration.has(Mutation::WokenMovesAnyTimer);
    for publisher in state.publishers_mut() {
        let stale = publisher.step == PublishStep::Confirmed && !publisher.is_current && !any_woken;
        if stale || publisher.is_idle() {
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

/// All that is left of a job that has ended for good has no effect.
fn forget(state: &mut State, job: u8) {
    *state.job_mut(job) = Job {
        life: JobLife::Completed,
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

/// Lowers all fences of a job together, until the lowest one in use is 1.
fn renumber_fences(state: &mut State, job: u8) {
    let record = *state.job(job);
    let newest = state
        .lane
        .find(job)
        .map_or(record.fence, |entry| entry.fence);
    let held = state.slots.iter().filter(|slot| slot.holds(job));
    let lowest = held.map(|slot| slot.fence).fold(newest, u8::min);
    let Some(by) = lowest.checked_sub(1).filter(|by| *by > 0) else {
        return;
    };
    // No process can repeat a call with a lower fence.
    let settled = |fence: u8| if fence < lowest { 0 } else { fence - by };
    if let Some(entry) = state.lane.find_mut(job) {
        entry.fence -= by;
        entry.settled = settled(entry.settled);
    } else {
        let record = state.job_mut(job);
        record.fence -= by;
        record.settled = settled(record.settled);
    }
    for slot in &mut state.slots {
        if slot.holds(job) {
            slot.fence -= by;
        }
    }
}
