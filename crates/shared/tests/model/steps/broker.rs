//! The broker, and time.

use crate::state::{Doing, Life, State, Timer, WAKES_MAX};

use super::World;

impl World {
    pub(super) fn broker_steps(&mut self, state: &State) {
        for job in 0..state.submitted {
            let kept = *state.job(job);
            if kept.wakes > 0 && state.left.losses > 0 {
                let mut next = *state;
                next.job_mut(job).wakes -= 1;
                next.left.losses -= 1;
                self.add(next, false, "the broker loses a wake", job);
            }
            if kept.wakes > 0 && kept.wakes < WAKES_MAX && state.left.doubles > 0 {
                let mut next = *state;
                next.job_mut(job).wakes += 1;
                next.left.doubles -= 1;
                self.add(next, false, "the broker doubles a wake", job);
            }
            if kept.life == Life::Live && state.left.expiries > 0 {
                self.deadline_passes(state, job);
            }
        }
        self.time_passes(state);
    }

    fn deadline_passes(&mut self, state: &State, job: u8) {
        let mut next = *state;
        let Some(entry) = next.lane.find_mut(job) else {
            return;
        };
        if entry.overdue {
            return;
        }
        entry.overdue = true;
        next.left.expiries -= 1;
        // No timer stands behind the deadline, so that it is due, unless somebody took it away.
        if next.job(job).timer != Timer::None {
            next.job_mut(job).timer = Timer::Later;
        }
        self.add(next, false, "a deadline passes", job);
    }

    fn time_passes(&mut self, state: &State) {
        let mut next = *state;
        next.lane.hold = next.lane.hold.passed();
        for entry in next.lane.entries_mut() {
            if let Doing::Queued(pause) = &mut entry.doing {
                *pause = pause.passed();
            }
        }
        if next.lane != state.lane {
            self.add(next, true, "time passes", 0);
        }
    }
}
