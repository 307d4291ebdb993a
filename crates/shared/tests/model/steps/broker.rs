//! The broker loses and duplicates wakes. Deadlines, holds, longest waits and the times before which a job must not run pass.

use crate::state::{EntryState, JobStatus, State, Timer, WAKES_MAX};

use super::Model;

impl Model {
    pub(super) fn broker_steps(&mut self, state: &State) {
        for job in 0..state.submitted {
            let job_state = *state.job(job);
            if job_state.wakes > 0 && state.faults_left.lost_wakes > 0 {
                let mut next = *state;
                next.job_mut(job).wakes -= 1;
                next.faults_left.lost_wakes -= 1;
                self.add_optional(next, "the broker loses a wake", job);
            }
            if job_state.wakes > 0
                && job_state.wakes < WAKES_MAX
                && state.faults_left.duplicated_wakes > 0
            {
                let mut next = *state;
                next.job_mut(job).wakes += 1;
                next.faults_left.duplicated_wakes -= 1;
                self.add_optional(next, "the broker duplicates a wake", job);
            }
            if job_state.status == JobStatus::Live && state.faults_left.expiries > 0 {
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
        if entry.is_past_deadline {
            return;
        }
        entry.is_past_deadline = true;
        next.faults_left.expiries -= 1;
        // No timer is after the deadline, so the job's timer may be due from now on.
        if next.job(job).timer != Timer::None {
            next.job_mut(job).timer = Timer::MayBeDue;
        }
        self.add_optional(next, "a deadline passes", job);
    }

    fn time_passes(&mut self, state: &State) {
        let mut next = *state;
        next.lane.hold = next.lane.hold.passed();
        for entry in next.lane.entries_mut() {
            if let EntryState::Queued(not_before) = &mut entry.state {
                *not_before = not_before.passed();
            }
            if let EntryState::Deferred { is_wait_over } = &mut entry.state {
                *is_wait_over = true;
            }
        }
        if next.lane != state.lane {
            // Time passes for all jobs. The printed path names a job for each step, here the first.
            let job = 0;
            self.add_dependable(next, "time passes", job);
        }
    }
}
