//! The invariants of every state. `steps` checks the invariants of a step.

use crate::state::{EntryState, JobStatus, SLOTS, SlotPhase, State, Timer};

/// The invariant that a state violates, if any.
pub(crate) fn violated_invariant(state: &State) -> Option<String> {
    for job in 0..state.submitted {
        let stored = state.job(job);
        let live = stored.status == JobStatus::Live;
        let entries = state.lane.entries().iter().filter(|entry| entry.job == job);
        let entry_count = entries.count();
        if entry_count != usize::from(live) {
            return Some(format!(
                "job {job} has {entry_count} entries in the lane; its status is {:?}",
                stored.status
            ));
        }
        if live && stored.timer == Timer::None {
            return Some(format!("the live job {job} has no timer"));
        }
        if !live && stored.timer != Timer::None {
            return Some(format!("job {job} has a timer but is not live"));
        }
    }
    let mut behind_head = state.lane.entries().iter().skip(1);
    if behind_head.any(|entry| matches!(entry.state, EntryState::Running(_))) {
        return Some("a job runs but is not the head".to_owned());
    }
    shared_fence(state)
}

/// Reports two attempts at a live job that have the same fence.
fn shared_fence(state: &State) -> Option<String> {
    const { assert!(SLOTS == 2, "the function compares two slots") };
    let [first, second] = &state.slots;
    let has_attempt = |phase| matches!(phase, SlotPhase::Running | SlotPhase::SettlementUnanswered);
    let is_shared = has_attempt(first.phase)
        && has_attempt(second.phase)
        && (first.job, first.fence) == (second.job, second.fence)
        && state.job(first.job).status == JobStatus::Live;
    is_shared.then(|| {
        format!(
            "two attempts at job {} have fence {}",
            first.job, first.fence
        )
    })
}
