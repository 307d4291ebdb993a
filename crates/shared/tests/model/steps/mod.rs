//! Every step that the world can take from a state, one file for each kind of process.

mod broker;
mod gateway;
mod publisher;
mod sweeper;
mod worker;

use crate::{
    configuration::Configuration,
    mutation::Mutation,
    protocol::{ClockSkew, ModelChange, ModelEvent, Protocol},
    state::{AttemptPhase, EntryState, JobLife, State, Timer, WakePublisher},
};
use forebay_shared::lane::Refused;

/// A step to another state.
pub(crate) struct Step {
    pub(crate) to: State,
    /// Whether liveness may depend on it: the step is neither a fault nor a decision.
    pub(crate) is_dependable: bool,
    pub(crate) label: &'static str,
    pub(crate) job: u8,
}

/// A world and the protocol in it.
pub(crate) struct World {
    pub(crate) configuration: Configuration,
    protocol: Protocol,
    steps: Vec<Step>,
    violation: Option<String>,
}

impl World {
    pub(crate) fn new(configuration: Configuration) -> Self {
        Self {
            configuration,
            protocol: Protocol::new(configuration),
            steps: Vec::new(),
            violation: None,
        }
    }

    /// All steps from a state, or the violation by one of them.
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

    fn add(&mut self, to: State, is_dependable: bool, label: &'static str, job: u8) {
        self.steps.push(Step {
            to,
            is_dependable,
            label,
            job,
        });
    }

    fn report_violation(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }

    fn ask(
        &mut self,
        state: &State,
        job: u8,
        happening: ModelEvent,
        clock: ClockSkew,
    ) -> Result<ModelChange, Refused> {
        let kept = state.job(job);
        let ended = !matches!(kept.life, JobLife::Absent | JobLife::Live);
        let record = ended.then_some((kept.life, kept.fence, kept.settled));
        self.protocol
            .apply(&state.lane, record, job, happening, clock)
    }

    /// Writes a change as one commit does. Returns the publisher of the wake that it asks for.
    fn commit(&mut self, state: &mut State, change: &ModelChange) -> WakePublisher {
        state.lane = change.lane;
        for (job, timer) in change.timers.iter().enumerate() {
            if let Some(timer) = timer {
                state.set_timer(job as u8, *timer);
            }
        }
        for (job, ended) in change.ended.iter().enumerate() {
            let Some((life, fence, settled)) = *ended else {
                continue;
            };
            let kept = &mut state.jobs[job];
            if kept.life != JobLife::Live {
                self.report_violation(format!("job {job} ends and was not live"));
            }
            (kept.life, kept.fence, kept.settled) = (life, fence, settled);
        }
        if change.session_grows {
            for slot in &mut state.slots {
                slot.context = false;
            }
        }
        WakePublisher::of(change.wake)
    }

    /// Whether a job's timer can be due. Its wait has passed by then, unless the sweeper's clock is ahead.
    fn due_timer(&self, state: &State, job: u8) -> Option<DueTimer> {
        let parked = match state.job(job).timer {
            Timer::Set => false,
            Timer::Parked if self.configuration.has(Mutation::ParkedTimersNeverFire) => {
                return None;
            }
            Timer::Parked => true,
            Timer::None | Timer::Never => return None,
        };
        let entry = state.lane.find(job)?;
        let early = !entry.overdue
            && state.lane.is_head(job)
            && matches!(entry.state, EntryState::Queued(pause) if pause.is_later());
        if early && !self.configuration.skew {
            return None;
        }
        let is_dependable = !(early || parked && self.configuration.forbids_parked_timers);
        Some(DueTimer { is_dependable })
    }

    /// Whether the process that runs the job works on this attempt.
    fn is_at_work(&self, state: &State, job: u8) -> bool {
        let Some(entry) = state.lane.find(job) else {
            return false;
        };
        (0..state.slots.len()).any(|slot| {
            let process = self.configuration.process(slot);
            let slot = &state.slots[slot];
            entry.state == EntryState::Running(process)
                && slot.holds(job)
                && slot.fence == entry.fence
        })
    }

    /// Whether another slot of the same process works on the job.
    fn is_in_table(&self, state: &State, slot: usize, job: u8) -> bool {
        let process = self.configuration.process(slot);
        !self.configuration.has(Mutation::NoTable)
            && (0..state.slots.len()).any(|other| {
                other != slot
                    && self.configuration.process(other) == process
                    && !matches!(
                        state.slots[other].phase,
                        AttemptPhase::Idle | AttemptPhase::Done
                    )
                    && state.slots[other].job == job
            })
    }
}

/// A timer that can be due.
struct DueTimer {
    /// Whether liveness may depend on it.
    is_dependable: bool,
}
