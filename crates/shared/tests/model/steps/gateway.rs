//! Gateways: submits, cancels, repairs.

use crate::{
    protocol::{ClockSkew, ModelEvent},
    state::{JobStatus, State},
};

use super::Model;

impl Model {
    pub(super) fn gateway_steps(&mut self, state: &State) {
        self.submit(state);
        self.submit_again(state);
        if !state.cancel_and_repair_gateway.is_idle() {
            return;
        }
        for job in 0..state.submitted {
            if state.faults_left.cancels > 0 && state.job(job).status == JobStatus::Live {
                self.cancel(state, job);
            }
            if state.faults_left.repairs > 0 && self.configuration.may_repair(state.job(job).status)
            {
                self.repair(state, job);
            }
        }
    }

    fn submit(&mut self, state: &State) {
        let job = state.submitted;
        if job >= self.configuration.jobs {
            return;
        }
        for kind_index in 0..self.configuration.submit_kinds[usize::from(job)].len() as u8 {
            let mut next = *state;
            next.submitted += 1;
            let submit = ModelEvent::Submit { kind_index };
            // If the submit is refused, the job stays absent.
            if let Ok(change) = self.apply(state, job, submit, ClockSkew::None) {
                next.job_mut(job).status = JobStatus::Live;
                next.gateways[usize::from(job)] = self.commit(&mut next, &change);
            }
            self.add_optional(next, "submit", job);
        }
    }

    /// A client that gets no response repeats its submit. The repeat must be refused, whether the job is live or has
    /// ended.
    fn submit_again(&mut self, state: &State) {
        for job in 0..state.submitted {
            let again = ModelEvent::Submit { kind_index: 0 };
            if state.job(job).status != JobStatus::Absent
                && self.apply(state, job, again, ClockSkew::None).is_ok()
            {
                self.report_violation(format!("job {job} is admitted twice"));
            }
        }
    }

    fn cancel(&mut self, state: &State, job: u8) {
        let mut next = *state;
        next.faults_left.cancels -= 1;
        match self.apply(state, job, ModelEvent::Cancel, ClockSkew::None) {
            Ok(change) => {
                next.cancel_and_repair_gateway = self.commit(&mut next, &change);
                self.add_optional(next, "cancel", job);
            }
            Err(_) => self.report_violation(format!("the live job {job} cannot be cancelled")),
        }
    }

    fn repair(&mut self, state: &State, job: u8) {
        let mut next = *state;
        next.faults_left.repairs -= 1;
        match self.apply(state, job, ModelEvent::Repair, ClockSkew::None) {
            Ok(change) => {
                next.job_mut(job).status = JobStatus::Live;
                (next.job_mut(job).fence, next.job_mut(job).settled_fence) = (0, 0);
                for slot in &mut next.slots {
                    if slot.job == job {
                        slot.is_newest_attempt = false;
                    }
                }
                next.cancel_and_repair_gateway = self.commit(&mut next, &change);
                self.add_optional(next, "repair", job);
            }
            Err(_) => self.report_violation(format!("the ended job {job} cannot be repaired")),
        }
    }
}
