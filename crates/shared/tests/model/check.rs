//! The invariants of every state. The invariants of a step are checked where the step is made.

use crate::state::{AttemptPhase, EntryState, JobLife, SLOTS, State, Timer};

/// The invariant that a state violates, if any.
pub(crate) fn violated_invariant(state: &State) -> Option<String> {
    for job in 0..state.submitted {
        let kept = state.job(job);
        let live = kept.life == JobLife::Live;
        let times = state.lane.entries().iter().filter(|entry| entry.job == job);
        if times.count() != usize::from(live) {
            return Some(format!(
                "job {job} must be in the lane exactly once while it is live, and not otherwise"
            ));
        }
        if live && kept.timer == Timer::None {
            return Some(format!("the live job {job} has no timer"));
        }
        if !live && kept.timer != Timer::None {
            return Some(format!("job {job} has a timer and is not live"));
        }
    }
    let mut behind = state.lane.entries().iter().skip(1);
    if behind.any(|entry| matches!(entry.state, EntryState::Running(_))) {
        return Some("a job runs and is not the head".to_owned());
    }
    one_fence_each(state)
}

/// Two attempts at a live job never hold the same fence.
fn one_fence_each(state: &State) -> Option<String> {
    const { assert!(SLOTS == 2, "this compares two") };
    let [one, other] = &state.slots;
    let at_it = |phase| matches!(phase, AttemptPhase::Running | AttemptPhase::Repeating);
    let same = at_it(one.phase)
        && at_it(other.phase)
        && (one.job, one.fence) == (other.job, other.fence)
        && state.job(one.job).life == JobLife::Live;
    same.then(|| format!("two attempts at job {} hold fence {}", one.job, one.fence))
}
