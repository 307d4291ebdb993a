//! Sweepers: they read the timers that are due, and act on each. More than one may believe to be elected, and each may
//! die between any two steps.

use crate::{
    mutation::Mutation,
    protocol::{ClockSkew, ModelEvent, WorkerPresence},
    state::{DEAD, EntryState, PublishStep, State, WakePublisher},
};

use super::World;

/// A sweeper acts on a due timer.
#[derive(Clone, Copy)]
struct Tick {
    sweeper: usize,
    job: u8,
    presence: WorkerPresence,
    clock: ClockSkew,
    is_dependable: bool,
}

impl World {
    pub(super) fn sweeper_steps(&mut self, state: &State) {
        for sweeper in 0..self.configuration.sweepers {
            if state.sweepers[sweeper].step == PublishStep::Due {
                let mut next = *state;
                next.sweepers[sweeper] = WakePublisher::default();
                self.add(next, false, "a sweeper dies", state.sweepers[sweeper].job);
                self.act(state, sweeper, state.sweepers[sweeper].job, true);
            }
        }
        // Idle sweepers are equivalent.
        let Some(idle) = (0..self.configuration.sweepers).find(|n| state.sweepers[*n].is_idle())
        else {
            return;
        };
        for job in 0..state.submitted {
            let Some(firing) = self.due_timer(state, job) else {
                continue;
            };
            if self.configuration.reads_before_acting {
                let mut next = *state;
                next.sweepers[idle] = WakePublisher {
                    step: PublishStep::Due,
                    job,
                    is_current: true,
                };
                self.add(
                    next,
                    firing.is_dependable,
                    "a sweeper reads a due timer",
                    job,
                );
            } else {
                self.act(state, idle, job, firing.is_dependable);
            }
        }
    }

    /// Acts on the timer that it has read, even if the job has changed since.
    fn act(&mut self, state: &State, sweeper: usize, job: u8, is_dependable: bool) {
        let tick = Tick {
            sweeper,
            job,
            presence: WorkerPresence::AtWork,
            clock: ClockSkew::None,
            is_dependable,
        };
        let entry = state.lane.find(job).filter(|entry| !entry.overdue);
        match entry.map(|entry| entry.state) {
            Some(EntryState::Running(process)) => self.check_worker(state, &tick, process),
            Some(EntryState::Queued(wait)) if wait.is_later() && self.configuration.skew => {
                let early = Tick {
                    clock: ClockSkew::Ahead,
                    is_dependable: false,
                    ..tick
                };
                self.tick(state, &early);
                self.tick(state, &tick);
            }
            _ => self.tick(state, &tick),
        }
    }

    fn check_worker(&mut self, state: &State, tick: &Tick, process: u8) {
        // A sweeper that may judge no worker, or finds it present.
        let no_verdict = Tick {
            is_dependable: false,
            ..*tick
        };
        self.tick(state, &no_verdict);
        let mut next = *state;
        let is_dead = process == DEAD;
        if !is_dead && !self.is_at_work(state, tick.job) {
            if !self.configuration.has(Mutation::NoUntil) {
                let past_limit = Tick {
                    presence: WorkerPresence::PastLimit,
                    ..*tick
                };
                self.tick(state, &past_limit);
            }
            return;
        }
        if !is_dead {
            if state.faults_left.false_absences == 0 {
                return;
            }
            next.faults_left.false_absences -= 1;
        }
        let gone = Tick {
            presence: WorkerPresence::Gone,
            is_dependable: is_dead && tick.is_dependable,
            ..*tick
        };
        self.tick(&next, &gone);
        if self.configuration.worker_lost {
            let too_often = Tick {
                presence: WorkerPresence::GoneOnceTooOften,
                is_dependable: false,
                ..gone
            };
            self.tick(&next, &too_often);
        }
    }

    fn tick(&mut self, state: &State, tick: &Tick) {
        let Tick {
            sweeper,
            job,
            presence,
            clock,
            is_dependable,
        } = *tick;
        let mut next = *state;
        next.sweepers[sweeper] = WakePublisher::default();
        let label = match presence {
            WorkerPresence::AtWork => "tick",
            WorkerPresence::Gone => "tick: its worker is gone",
            WorkerPresence::GoneOnceTooOften => "tick: its worker is gone, once too often",
            WorkerPresence::PastLimit => "tick: past its limit",
        };
        let read = state.sweepers[sweeper];
        let stale = read.step == PublishStep::Due && !read.is_current;
        match self.ask(state, job, ModelEvent::Tick(presence), clock) {
            // A change of its own timer alone needs no commit. It moves the timer only if that is still the one
            // that was read. Otherwise another process has handled the job.
            Ok(change) if change.lane == state.lane && stale => {}
            Ok(change) => next.sweepers[sweeper] = self.commit(&mut next, &change),
            // The job has ended meanwhile.
            Err(_) => {}
        }
        self.add(next, is_dependable, label, job);
    }
}
