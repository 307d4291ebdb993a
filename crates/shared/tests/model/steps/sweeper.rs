//! Sweepers: they read the timers that are due, and act on each. More than one may take itself for the
//! elected one, and each may die between any two of its steps.

use crate::{
    mutation::Mutation,
    protocol::{Clock, Happening, Sight},
    state::{DEAD, Doing, Sender, Sending, State},
};

use super::World;

impl World {
    pub(super) fn sweeper_steps(&mut self, state: &State) {
        for sweeper in 0..self.configuration.sweepers {
            if state.sweepers[sweeper].sending == Sending::Due {
                let mut next = *state;
                next.sweepers[sweeper] = Sender::default();
                self.add(next, false, "a sweeper dies", state.sweepers[sweeper].job);
                self.act(state, sweeper, state.sweepers[sweeper].job, true);
            }
        }
        // Idle ones are alike.
        let Some(idle) = (0..self.configuration.sweepers).find(|n| state.sweepers[*n].is_idle())
        else {
            return;
        };
        for job in 0..state.submitted {
            let Some(firing) = self.fires(state, job) else {
                continue;
            };
            if self.configuration.reads_first {
                let mut next = *state;
                next.sweepers[idle] = Sender {
                    sending: Sending::Due,
                    job,
                    fresh: true,
                };
                self.add(next, firing.helps, "a sweeper reads a due timer", job);
            } else {
                self.act(state, idle, job, firing.helps);
            }
        }
    }

    /// Acts on what it has read, whatever has become of the job since.
    fn act(&mut self, state: &State, sweeper: usize, job: u8, helps: bool) {
        let doing = state
            .lane
            .find(job)
            .map(|entry| (entry.overdue, entry.doing));
        match doing {
            Some((false, Doing::Running(process))) => {
                self.look_at_worker(state, sweeper, job, process, helps);
            }
            Some((false, Doing::Queued(pause))) if pause.is_later() && self.configuration.skew => {
                self.tick(state, sweeper, job, Sight::AtWork, Clock::Ahead, false);
                self.tick(state, sweeper, job, Sight::AtWork, Clock::True, helps);
            }
            _ => self.tick(state, sweeper, job, Sight::AtWork, Clock::True, helps),
        }
    }

    fn look_at_worker(&mut self, state: &State, sweeper: usize, job: u8, process: u8, helps: bool) {
        // One that may judge nobody, or finds all in order.
        self.tick(state, sweeper, job, Sight::AtWork, Clock::True, false);
        let mut next = *state;
        let gone = if process == DEAD {
            true
        } else if !self.is_at_work(state, job) {
            if !self.configuration.has(Mutation::NoUntil) {
                self.tick(state, sweeper, job, Sight::PastLimit, Clock::True, helps);
            }
            return;
        } else {
            if state.left.absences == 0 {
                return;
            }
            next.left.absences -= 1;
            false
        };
        self.tick(&next, sweeper, job, Sight::Gone, Clock::True, gone && helps);
        if self.configuration.worker_lost {
            self.tick(
                &next,
                sweeper,
                job,
                Sight::GoneOnceTooOften,
                Clock::True,
                false,
            );
        }
    }

    fn tick(
        &mut self,
        state: &State,
        sweeper: usize,
        job: u8,
        sight: Sight,
        clock: Clock,
        helps: bool,
    ) {
        let mut next = *state;
        next.sweepers[sweeper] = Sender::default();
        let label = match sight {
            Sight::AtWork => "tick",
            Sight::Gone => "tick: its worker is gone",
            Sight::GoneOnceTooOften => "tick: its worker is gone, once too often",
            Sight::PastLimit => "tick: past its limit",
        };
        let read = state.sweepers[sweeper];
        let stale = read.sending == Sending::Due && !read.fresh;
        match self.ask(state, job, Happening::Tick(sight), clock) {
            // What moves nothing but its own timer needs no commit, and moves it only if it still is
            // the one that was read; else somebody else has seen to the job.
            Ok(change) if change.lane == state.lane && stale => {}
            Ok(change) => next.sweepers[sweeper] = self.commit(&mut next, &change),
            // It has ended meanwhile.
            Err(_) => {}
        }
        self.add(next, helps, label, job);
    }
}
