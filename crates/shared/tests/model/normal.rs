//! One state for all that cannot be told apart: this is what keeps the world small.
//!
//! What is merged: names of workers and sweepers; numbers of fences, of which only the order counts;
//! what hangs on a job that has ended for good; timers that were read and have changed since.

use crate::{
    configuration::Configuration,
    mutation::Mutation,
    state::{DEAD, Doing, Job, Life, Pause, SLOTS, Sender, Sending, State},
};

/// The one state that stands for all that are like this one.
pub(crate) fn normal(state: &State, configuration: &Configuration) -> State {
    if !configuration.merges {
        return *state;
    }
    let mut state = *state;
    for job in 0..configuration.jobs {
        match state.job(job).life {
            Life::Absent => {}
            Life::Live => lower_fences(&mut state, job),
            life if state.left.repairs > 0 && configuration.may_repair(life) => {
                lower_fences(&mut state, job);
            }
            _ => forget(&mut state, job),
        }
    }
    if !configuration.skew {
        // With true clocks, a retry that is due is a job that is due.
        for entry in state.lane.entries_mut() {
            if entry.doing == Doing::Queued(Pause::RetryPassed) {
                entry.doing = Doing::Queued(Pause::None);
            }
        }
    }
    let any_woken = configuration.has(Mutation::WokenMovesAnyTimer);
    for sender in state.senders_mut() {
        let stale = sender.sending == Sending::Confirmed && !sender.fresh && !any_woken;
        if stale || sender.is_idle() {
            *sender = Sender::default();
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
        if let Doing::Running(process) = &mut entry.doing
            && *process != DEAD
        {
            *process = SLOTS as u8 - 1 - *process;
        }
    }
    swapped
}

/// Whatever is still under way for a job that has ended for good comes to nothing.
fn forget(state: &mut State, job: u8) {
    *state.job_mut(job) = Job {
        life: Life::Completed,
        ..Job::default()
    };
    for slot in &mut state.slots {
        if slot.job == job {
            slot.rest();
        }
    }
    for sender in state.senders_mut() {
        if sender.job == job {
            *sender = Sender::default();
        }
    }
}

/// Lowers all fences of a job together, until the lowest that counts is 1.
fn lower_fences(state: &mut State, job: u8) {
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
    // What was settled below them is nobody's to repeat.
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
