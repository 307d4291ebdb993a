//! What must hold of every state. What must hold of a step is said where the step is made.

use crate::state::{Doing, Life, Phase, SLOTS, State, Timer};

/// What is wrong with a state, if something is.
pub(crate) fn broken(state: &State) -> Option<String> {
    for job in 0..state.submitted {
        let kept = state.job(job);
        let live = kept.life == Life::Live;
        let times = state.lane.entries().iter().filter(|entry| entry.job == job);
        if times.count() != usize::from(live) {
            return Some(format!("job {job} is not once in the lane while it lives"));
        }
        if live && kept.timer == Timer::None {
            return Some(format!("the live job {job} has no timer"));
        }
        if !live && kept.timer != Timer::None {
            return Some(format!("job {job} has a timer and is not live"));
        }
    }
    let mut behind = state.lane.entries().iter().skip(1);
    if behind.any(|entry| matches!(entry.doing, Doing::Running(_))) {
        return Some("a job runs and is not the head".to_owned());
    }
    one_fence_each(state)
}

/// Two attempts at a live job never hold the same fence.
fn one_fence_each(state: &State) -> Option<String> {
    const { assert!(SLOTS == 2, "this compares two") };
    let [one, other] = &state.slots;
    let at_it = |phase| matches!(phase, Phase::Running | Phase::Repeating);
    let same = at_it(one.phase)
        && at_it(other.phase)
        && (one.job, one.fence) == (other.job, other.fence)
        && state.job(one.job).life == Life::Live;
    same.then(|| format!("two attempts at job {} hold fence {}", one.job, one.fence))
}
