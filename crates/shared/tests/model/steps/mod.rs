//! Every step that the world can take from a state, one file for each who takes them.

mod broker;
mod gateway;
mod sweeper;
mod worker;

use crate::{
    configuration::Configuration,
    mutation::Mutation,
    protocol::{Change, Clock, Happening, Protocol},
    state::{Doing, Life, Phase, Sender, Sending, State, Timer},
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

    /// `woken`: a confirmed wake moves its timer far off, if it still is the one that asked for it.
    fn woken(&self, state: &mut State, sender: &Sender) {
        let timer = state.job(sender.job).timer;
        let any = self.configuration.has(Mutation::WokenMovesAnyTimer) && timer != Timer::None;
        if !sender.fresh && !any {
            return;
        }
        let overdue = state
            .lane
            .find(sender.job)
            .is_some_and(|entry| entry.overdue);
        let timer = match () {
            () if self.configuration.has(Mutation::NoTimers) => Timer::Never,
            () if overdue => Timer::Later,
            () => Timer::Parked,
        };
        state.set_timer(sender.job, timer);
    }
}

/// A timer that can fire.
struct Firing {
    /// Whether it may be counted on.
    helps: bool,
}

/// Which sender a step is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Gateway(usize),
    Operator,
    Sweeper(usize),
    Worker(usize),
}

impl Who {
    fn sender(self, state: &mut State) -> &mut Sender {
        match self {
            Self::Gateway(n) => &mut state.gateways[n],
            Self::Operator => &mut state.operator,
            Self::Sweeper(n) => &mut state.sweepers[n],
            Self::Worker(n) => &mut state.slots[n].sender,
        }
    }
}

impl World {
    /// Those who publish: the message, then (confirmed) `woken`. Who publishes may die before either;
    /// a worker dies as a whole, elsewhere.
    fn sender_steps(&mut self, state: &State) {
        let gateways = (0..usize::from(self.configuration.jobs)).map(Who::Gateway);
        let sweepers = (0..self.configuration.sweepers).map(Who::Sweeper);
        let workers = (0..state.slots.len()).map(Who::Worker);
        let all = gateways
            .chain([Who::Operator])
            .chain(sweepers)
            .chain(workers);
        for who in all {
            let mut next = *state;
            let sender = *who.sender(&mut next);
            match sender.sending {
                Sending::Idle | Sending::Due => continue,
                Sending::Publish => {
                    who.sender(&mut next).sending = Sending::Confirmed;
                    next.give_wake(sender.job);
                    self.add(next, true, "a wake is published", sender.job);
                }
                Sending::Confirmed => {
                    *who.sender(&mut next) = Sender::default();
                    self.woken(&mut next, &sender);
                    self.add(next, true, "woken", sender.job);
                }
            }
            if !matches!(who, Who::Worker(_)) {
                let mut next = *state;
                *who.sender(&mut next) = Sender::default();
                self.add(next, false, "a publisher dies", sender.job);
            }
        }
    }
}
