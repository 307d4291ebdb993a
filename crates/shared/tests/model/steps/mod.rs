//! Every step that the modelled fleet can take from a state, with one file for each kind of process.

mod broker;
mod gateway;
mod publisher;
mod sweeper;
mod worker;

use crate::{
    configuration::Configuration,
    mutation::Mutation,
    protocol::{ClockSkew, ModelChange, ModelEvent, Protocol},
    state::{Entry, EntryState, JobStatus, Outcome, SlotPhase, State, Timer, WakePublisher},
};
use forebay_shared::lane::Refused;

/// A step to another state.
pub(crate) struct Step {
    pub(crate) to: State,
    /// Whether liveness may depend on this step. Liveness must not depend on a fault or a wrong clock, nor on an optional
    /// action of a client, a provider or a sweeper. Optional are, for example, a submit, a failed try and a false absence.
    pub(crate) is_dependable: bool,
    /// What happens, for the printed path to a state.
    pub(crate) label: &'static str,
    pub(crate) job: u8,
}

/// The modelled fleet, which computes the steps from a state.
pub(crate) struct Model {
    pub(crate) configuration: Configuration,
    protocol: Protocol,
    steps: Vec<Step>,
    violation: Option<String>,
}

impl Model {
    pub(crate) fn new(configuration: Configuration) -> Self {
        Self {
            configuration,
            protocol: Protocol::new(configuration),
            steps: Vec::new(),
            violation: None,
        }
    }

    /// All steps from a state, or the first violation of an invariant by one of the steps.
    pub(crate) fn steps(&mut self, state: &State) -> Result<&[Step], String> {
        self.steps.clear();
        self.violation = None;
        self.gateway_steps(state);
        self.publisher_steps(state);
        self.broker_steps(state);
        self.sweeper_steps(state);
        self.worker_steps(state);
        match self.violation.take() {
            Some(violation) => Err(violation),
            None => Ok(&self.steps),
        }
    }

    /// Adds a step on which liveness may depend.
    fn add_dependable(&mut self, to: State, label: &'static str, job: u8) {
        self.add(to, true, label, job);
    }

    /// Adds a step on which liveness must not depend: a fault or an optional action ([`Step::is_dependable`]).
    fn add_optional(&mut self, to: State, label: &'static str, job: u8) {
        self.add(to, false, label, job);
    }

    fn add(&mut self, to: State, is_dependable: bool, label: &'static str, job: u8) {
        self.steps.push(Step {
            to,
            is_dependable,
            label,
            job,
        });
    }

    fn report_violation(&mut self, violation: String) {
        self.violation.get_or_insert(violation);
    }

    /// Applies an event of a job to the lane.
    fn apply(
        &mut self,
        state: &State,
        job: u8,
        event: ModelEvent,
        clock: ClockSkew,
    ) -> Result<ModelChange, Refused> {
        let stored = state.job(job);
        let has_ended = !matches!(stored.status, JobStatus::Absent | JobStatus::Live);
        let outcome = has_ended.then_some(Outcome {
            status: stored.status,
            fence: stored.fence,
            settled_fence: stored.settled_fence,
        });
        self.protocol.apply(&state.lane, outcome, job, event, clock)
    }

    /// Writes a change as one commit does. Returns the publisher of the wake that the change requests.
    fn commit(&mut self, state: &mut State, change: &ModelChange) -> WakePublisher {
        for entry in change.lane.entries() {
            let was_claimed = |before: &Entry| before.claimed && before.fence <= entry.fence;
            let before = state.lane.find(entry.job);
            if !entry.claimed && before.is_some_and(was_claimed) {
                self.report_violation(format!("the job {} no longer counts as claimed", entry.job));
            }
        }
        state.lane = change.lane;
        for (job, timer) in change.timers.iter().enumerate() {
            if let Some(timer) = timer {
                state.set_timer(job as u8, *timer);
            }
        }
        for (job, outcome) in change.outcomes.iter().enumerate() {
            let Some(outcome) = outcome else {
                continue;
            };
            let stored = &mut state.jobs[job];
            if stored.status != JobStatus::Live {
                self.report_violation(format!("job {job} ends but was not live"));
            }
            stored.status = outcome.status;
            stored.fence = outcome.fence;
            stored.settled_fence = outcome.settled_fence;
        }
        if change.session_grows {
            for slot in &mut state.slots {
                slot.has_all_turns = false;
            }
        }
        WakePublisher::for_wake(change.wake)
    }

    /// The timer of a job, if it can be due. A timer is due only after the head's `not_before`, unless the sweeper's
    /// clock is ahead.
    fn due_timer(&self, state: &State, job: u8) -> Option<DueTimer> {
        let is_parked = match state.job(job).timer {
            Timer::MayBeDue => false,
            Timer::Parked if self.configuration.has(Mutation::ParkedTimersNeverFire) => {
                return None;
            }
            Timer::Parked => true,
            Timer::None | Timer::AtDeadline => return None,
        };
        let entry = state.lane.find(job)?;
        let is_early = !entry.is_past_deadline
            && state.lane.is_head(job)
            && match entry.state {
                EntryState::Queued(not_before) => not_before.is_still_to_come(),
                EntryState::Deferred { is_wait_over } => !is_wait_over,
                EntryState::Running(_) => false,
            };
        if is_early && !self.configuration.clocks_may_be_wrong {
            return None;
        }
        let is_dependable =
            !(is_early || is_parked && self.configuration.liveness_ignores_parked_timers);
        Some(DueTimer { is_dependable })
    }

    /// Whether a slot still works on the attempt that runs the job according to the lane.
    fn is_attempt_in_progress(&self, state: &State, job: u8) -> bool {
        let Some(entry) = state.lane.find(job) else {
            return false;
        };
        state.slots.iter().enumerate().any(|(index, slot)| {
            let process = self.configuration.process_of(index);
            entry.state == EntryState::Running(process)
                && slot.may_have_fence_of(job)
                && slot.fence == entry.fence
        })
    }

    /// Whether another slot of the same process works on the job, so that this slot drops its wake.
    fn runs_in_other_slot(&self, state: &State, index: usize, job: u8) -> bool {
        let process = self.configuration.process_of(index);
        let mut slots = state.slots.iter().enumerate();
        !self.configuration.has(Mutation::ProcessRunsAJobTwice)
            && slots.any(|(other_index, other)| {
                other_index != index
                    && self.configuration.process_of(other_index) == process
                    && !matches!(other.phase, SlotPhase::Idle | SlotPhase::AckPending)
                    && other.job == job
            })
    }
}

/// A timer that can be due.
struct DueTimer {
    /// Whether liveness may depend on this timer.
    is_dependable: bool,
}
