//! Sweepers read the timers that are due, and act on each of them. Two processes may act as the elected sweeper at the
//! same time. Each may die between any two steps.

use crate::{
    mutation::Mutation,
    protocol::{ClockSkew, ModelEvent, WorkerPresence},
    state::{DEAD, EntryState, PublisherPhase, State, WakePublisher},
};

use super::Model;

/// One possible action of a sweeper on a due timer.
#[derive(Clone, Copy)]
struct Tick {
    sweeper: usize,
    job: u8,
    presence: WorkerPresence,
    clock: ClockSkew,
    is_dependable: bool,
}

impl Model {
    pub(super) fn sweeper_steps(&mut self, state: &State) {
        for sweeper in 0..self.configuration.sweepers {
            if state.sweepers[sweeper].phase == PublisherPhase::DueTimerRead {
                let mut next = *state;
                next.sweepers[sweeper] = WakePublisher::default();
                self.add_optional(next, "a sweeper dies", state.sweepers[sweeper].job);
                let is_dependable = true;
                self.act_on_timer(state, sweeper, state.sweepers[sweeper].job, is_dependable);
            }
        }
        // All idle sweepers are equivalent, so only the first of them reads timers.
        let mut sweepers = 0..self.configuration.sweepers;
        let Some(idle) = sweepers.find(|sweeper| state.sweepers[*sweeper].is_idle()) else {
            return;
        };
        for job in 0..state.submitted {
            self.resume(state, idle, job);
            let Some(due_timer) = self.due_timer(state, job) else {
                continue;
            };
            if self.configuration.delays_sweeper_actions {
                let mut next = *state;
                next.sweepers[idle] = WakePublisher {
                    phase: PublisherPhase::DueTimerRead,
                    job,
                    timer_is_unchanged: true,
                };
                self.add(
                    next,
                    due_timer.is_dependable,
                    "a sweeper reads a due timer",
                    job,
                );
            } else {
                self.act_on_timer(state, idle, job, due_timer.is_dependable);
            }
        }
    }

    /// Resumes a deferred job, for which the account of its provider has a permit. The sweeper may have read the index of
    /// deferred jobs at any earlier time, so it tries every job.
    fn resume(&mut self, state: &State, sweeper: usize, job: u8) {
        if self
            .configuration
            .has(Mutation::DeferredJobsAreNeverResumed)
        {
            return;
        }
        if let Ok(change) = self.apply(state, job, ModelEvent::Resume, ClockSkew::None) {
            let mut next = *state;
            next.sweepers[sweeper] = self.commit(&mut next, &change);
            self.add_dependable(next, "a deferred job is resumed", job);
        }
    }

    /// Acts on the timer that the sweeper has read, even if the job has changed since.
    fn act_on_timer(&mut self, state: &State, sweeper: usize, job: u8, is_dependable: bool) {
        let tick = Tick {
            sweeper,
            job,
            presence: WorkerPresence::Present,
            clock: ClockSkew::None,
            is_dependable,
        };
        let entry = state.lane.find(job).filter(|entry| !entry.is_past_deadline);
        match entry.map(|entry| entry.state) {
            Some(EntryState::Running(process)) => self.check_worker(state, &tick, process),
            Some(EntryState::Queued(not_before))
                if not_before.is_still_to_come() && self.configuration.clocks_may_be_wrong =>
            {
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

    /// Acts on the timer of a running job, for everything that the sweeper may know about the worker of the job.
    fn check_worker(&mut self, state: &State, tick: &Tick, process: u8) {
        // The sweeper has no list of live processes, or finds the worker in it.
        let keeps_worker = Tick {
            is_dependable: false,
            ..*tick
        };
        self.tick(state, &keeps_worker);
        let mut next = *state;
        let is_dead = process == DEAD;
        // No slot of this worker works on the attempt, for example because the response to the claim was lost. Only the time
        // limit of the claim ends such an attempt.
        if !is_dead && !self.is_attempt_in_progress(state, tick.job) {
            if !self.configuration.has(Mutation::ClaimsHaveNoTimeLimit) {
                let past_limit = Tick {
                    presence: WorkerPresence::PresentPastTimeLimit,
                    ..*tick
                };
                self.tick(state, &past_limit);
            }
            return;
        }
        if !is_dead {
            if state.faults_left.live_counted_as_gone == 0 {
                return;
            }
            next.faults_left.live_counted_as_gone -= 1;
        }
        let gone = Tick {
            presence: WorkerPresence::Gone,
            is_dependable: is_dead && tick.is_dependable,
            ..*tick
        };
        self.tick(&next, &gone);
        if self.configuration.may_reach_takeover_limit {
            let at_limit = Tick {
                presence: WorkerPresence::GoneAtTakeoverLimit,
                is_dependable: false,
                ..gone
            };
            self.tick(&next, &at_limit);
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
            WorkerPresence::Present => "tick",
            WorkerPresence::Gone => "tick: the worker is gone",
            WorkerPresence::GoneAtTakeoverLimit => {
                "tick: the worker is gone and the job has reached the limit of takeovers"
            }
            WorkerPresence::PresentPastTimeLimit => "tick: the claim is past its time limit",
        };
        let read = state.sweepers[sweeper];
        let timer_has_changed =
            read.phase == PublisherPhase::DueTimerRead && !read.timer_is_unchanged;
        match self.apply(state, job, ModelEvent::Tick(presence), clock) {
            // A tick that changes only the timer needs no commit. It moves the timer only if the timer is still the
            // one that was read. Otherwise another process has handled the job.
            Ok(change) if change.lane == state.lane && timer_has_changed => {}
            Ok(change) => next.sweepers[sweeper] = self.commit(&mut next, &change),
            // The job has ended since the read.
            Err(_) => {}
        }
        self.add(next, is_dependable, label, job);
    }
}
