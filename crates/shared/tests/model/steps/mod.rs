//! Every step that the world can take from a state, one file for each who takes them.

mod broker;
mod gateway;
mod sender;
mod sweeper;
mod worker;

use crate::{
    configuration::Configuration,
    mutation::Mutation,
    protocol::{Change, Clock, Happening, Protocol},
    state::{Doing, Life, Phase, Sender, State, Timer},
};
use forebay_shared::lane::Refused;

/// A step and where it leads.
pub(crate) struct Step {
    pub(crate) to: State,
    /// Whether it may be counted on: it is nobody's failure and nobody's decision.
    pub(crate) helps: bool,
    pub(crate) label: &'static str,
    pub(crate) job: u8,
}

/// The world: what it contains, and the rules.
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

    /// All steps from a state, or what a step from it breaks.
    pub(crate) fn steps(&mut self, state: &State) -> Result<&[Step], String> {
        self.steps.clear();
        self.violation = None;
        self.gateway_steps(state);
        self.sender_steps(state);
        self.broker_steps(state);
        self.sweeper_steps(state);
        self.worker_steps(state);
        match self.violation.take() {
            Some(violation) => Err(violation),
            None => Ok(&self.steps),
        }
    }

    fn add(&mut self, to: State, helps: bool, label: &'static str, job: u8) {
        self.steps.push(Step {
            to,
            helps,
            label,
            job,
        });
    }

    fn violate(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }

    fn ask(
        &mut self,
        state: &State,
        job: u8,
        happening: Happening,
        clock: Clock,
    ) -> Result<Change, Refused> {
        let kept = state.job(job);
        let ended = !matches!(kept.life, Life::Absent | Life::Live);
        let record = ended.then_some((kept.life, kept.fence, kept.settled));
        self.protocol
            .apply(&state.lane, record, job, happening, clock)
    }

    /// Writes a change, as one commit would, and says who publishes the wake that it asks for.
    fn commit(&mut self, state: &mut State, change: &Change) -> Sender {
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
            if kept.life != Life::Live {
                self.violate(format!("job {job} ends and was not live"));
            }
            (kept.life, kept.fence, kept.settled) = (life, fence, settled);
        }
        if change.session_grows {
            for slot in &mut state.slots {
                slot.context = false;
            }
        }
        Sender::of(change.wake)
    }

    /// Whether a job's timer can fire: by then its pause is over too, but for a clock that is ahead.
    fn fires(&self, state: &State, job: u8) -> Option<Firing> {
        let parked = match state.job(job).timer {
            Timer::Later => false,
            Timer::Parked if self.configuration.has(Mutation::ParkedTimersNeverFire) => {
                return None;
            }
            Timer::Parked => true,
            Timer::None | Timer::Never => return None,
        };
        let entry = state.lane.find(job)?;
        let early = !entry.overdue
            && state.lane.is_head(job)
            && matches!(entry.doing, Doing::Queued(pause) if pause.is_later());
        if early && !self.configuration.skew {
            return None;
        }
        let helps = !(early || parked && self.configuration.prompt);
        Some(Firing { helps })
    }

    /// Whether a slot of the process that runs the job is at work on this very attempt.
    fn is_at_work(&self, state: &State, job: u8) -> bool {
        let Some(entry) = state.lane.find(job) else {
            return false;
        };
        (0..state.slots.len()).any(|slot| {
            let process = self.configuration.process(slot);
            let slot = &state.slots[slot];
            entry.doing == Doing::Running(process) && slot.holds(job) && slot.fence == entry.fence
        })
    }

    /// Whether another slot of the same process has the job in hand.
    fn is_in_table(&self, state: &State, slot: usize, job: u8) -> bool {
        let process = self.configuration.process(slot);
        !self.configuration.has(Mutation::NoTable)
            && (0..state.slots.len()).any(|other| {
                other != slot
                    && self.configuration.process(other) == process
                    && !matches!(state.slots[other].phase, Phase::Idle | Phase::Done)
                    && state.slots[other].job == job
            })
    }
}

/// A timer that can fire.
struct Firing {
    /// Whether it may be counted on.
    helps: bool,
}
