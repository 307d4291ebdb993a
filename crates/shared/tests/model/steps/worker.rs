//! Workers: receive a wake, claim, call, settle, publish the next head's wake, ack; or die.

use crate::{
    protocol::{ClockSkew, ModelChange, ModelEvent},
    state::{AttemptPhase, DEAD, EntryState, JobLife, NotBefore, Settlement, State, WorkerSlot},
};

use super::World;

impl World {
    pub(super) fn worker_steps(&mut self, state: &State) {
        for n in 0..state.slots.len() {
            let slot = state.slots[n];
            if state.faults_left.crashes > 0 && (!self.configuration.one_process || n == 0) {
                self.crash(state, n);
            }
            match slot.phase {
                AttemptPhase::Idle => self.receive(state, n),
                AttemptPhase::Got | AttemptPhase::Asked => {
                    self.claim(state, n, ClockSkew::None);
                    let late = state.lane.entries().first().is_some_and(|head| {
                        let passed = [NotBefore::RetryPassed, NotBefore::HoldPassed];
                        passed
                            .iter()
                            .any(|pause| head.state == EntryState::Queued(*pause))
                    });
                    if self.configuration.skew && late {
                        self.claim(state, n, ClockSkew::Behind);
                    }
                }
                AttemptPhase::Running => self.end_call(state, n),
                AttemptPhase::Repeating => self.settle(state, n, slot.call),
                AttemptPhase::Done => {
                    let mut next = *state;
                    next.slots[n].reset();
                    self.add(next, true, "ack", slot.job);
                }
            }
        }
    }

    /// The whole process dies. The broker redelivers its messages.
    fn crash(&mut self, state: &State, n: usize) {
        let mut next = *state;
        next.faults_left.crashes -= 1;
        let me = self.configuration.process(n);
        for other in 0..state.slots.len() {
            if self.configuration.process(other) == me {
                let slot = state.slots[other];
                if slot.phase != AttemptPhase::Idle {
                    next.add_wake(slot.job);
                }
                next.slots[other] = WorkerSlot::default();
            }
        }
        for entry in next.lane.entries_mut() {
            if entry.state == EntryState::Running(me) {
                entry.state = EntryState::Running(DEAD);
            }
        }
        if next.slots != state.slots || next.lane != state.lane {
            self.add(next, false, "a worker is killed", state.slots[n].job);
        }
    }

    fn receive(&mut self, state: &State, n: usize) {
        for job in 0..state.submitted {
            if state.job(job).wakes == 0 {
                continue;
            }
            let mut next = *state;
            next.job_mut(job).wakes -= 1;
            if self.is_in_table(state, n, job) {
                self.add(
                    next,
                    true,
                    "a wake is dropped: the job is in the table",
                    job,
                );
                continue;
            }
            let slot = &mut next.slots[n];
            (slot.phase, slot.job) = (AttemptPhase::Got, job);
            self.add(next, true, "a worker gets a wake", job);
        }
    }

    fn claim(&mut self, state: &State, n: usize, clock: ClockSkew) {
        let slot = state.slots[n];
        let repeated_fence = (slot.phase == AttemptPhase::Asked).then_some(slot.fence);
        let process = self.configuration.process(n);
        let is_dependable = clock == ClockSkew::None;
        let claim = ModelEvent::Claim {
            process,
            repeated_fence,
        };
        let change = match self.ask(state, slot.job, claim, clock) {
            Ok(change) => change,
            Err(_) => {
                let mut next = *state;
                next.slots[n].reset();
                return self.add(next, is_dependable, "a claim is refused; ack", slot.job);
            }
        };
        let mut next = *state;
        self.commit(&mut next, &change);
        let Some(fence) = change.granted else {
            next.slots[n].reset();
            return self.add(next, is_dependable, "a claim is too early; ack", slot.job);
        };
        if next.lane != state.lane {
            // A new attempt, and not a recognised one.
            for other in &mut next.slots {
                if other.job == slot.job {
                    other.is_newest_attempt = false;
                }
            }
            next.slots[n].is_newest_attempt = true;
        }
        let mine = &mut next.slots[n];
        (mine.phase, mine.fence, mine.context) = (AttemptPhase::Running, fence, true);
        self.add(next, true, "claim", slot.job);
        if state.faults_left.lost_answers > 0 {
            self.claim_unanswered(state, &next, n, fence);
        }
    }

    fn claim_unanswered(&mut self, state: &State, claimed: &State, n: usize, fence: u8) {
        let job = state.slots[n].job;
        let mut next = *claimed;
        next.faults_left.lost_answers -= 1;
        (next.slots[n].phase, next.slots[n].context) = (AttemptPhase::Asked, false);
        self.add(next, false, "claim; its answer is lost", job);

        if claimed.lane != state.lane {
            let mut next = *state;
            next.faults_left.lost_answers -= 1;
            let slot = &mut next.slots[n];
            (slot.phase, slot.fence, slot.is_newest_attempt) = (AttemptPhase::Asked, fence, false);
            self.add(next, false, "a claim is lost", job);
        }

        if self.configuration.returns_wakes {
            let mut next = *claimed;
            next.faults_left.lost_answers -= 1;
            next.slots[n].reset();
            next.add_wake(job);
            self.add(
                next,
                false,
                "claim; its answer is lost; the wake is returned",
                job,
            );
        }
    }

    fn end_call(&mut self, state: &State, n: usize) {
        self.settle(state, n, Settlement::Finish);
        if self.configuration.tools {
            self.settle(state, n, Settlement::FinishWithTools);
        }
        if self.configuration.fails {
            self.settle(state, n, Settlement::Fail);
        }
        if self.configuration.retries > 0 {
            self.settle(state, n, Settlement::Retry);
        }
        if state.faults_left.releases > 0 {
            self.settle(state, n, Settlement::Release);
        }
    }

    fn settle(&mut self, state: &State, n: usize, call: Settlement) {
        let slot = state.slots[n];
        let settle = ModelEvent::Settle {
            call,
            fence: slot.fence,
        };
        let answer = self.ask(state, slot.job, settle, ClockSkew::None);
        let mut next = *state;
        if slot.phase == AttemptPhase::Running && call == Settlement::Release {
            next.faults_left.releases -= 1;
        }
        let change = match answer {
            Err(_) => {
                next.slots[n] = done(&slot);
                return self.add(next, true, "a settling call is refused", slot.job);
            }
            Ok(change) => change,
        };
        if change.is_nothing(&state.lane) {
            if slot.phase == AttemptPhase::Running {
                let live = state.job(slot.job).life == JobLife::Live;
                self.check_outcome_not_lost(&slot, live);
            }
            next.slots[n] = done(&slot);
            return self.add(next, true, "a settling call is a repeat", slot.job);
        }
        self.check_settlement(state, &slot, &change);
        if change.wake.is_some() && !slot.publisher.is_idle() {
            // The background task is busy, so this step waits for it.
            return;
        }
        let publisher = self.commit(&mut next, &change);
        next.slots[n] = done(&next.slots[n]);
        if change.wake.is_some() {
            next.slots[n].publisher = publisher;
        }
        let is_dependable = matches!(call, Settlement::Finish | Settlement::FinishWithTools);
        let label = match call {
            Settlement::Finish => "finish",
            Settlement::FinishWithTools => "finish with tool calls",
            Settlement::Fail => "finish as failed",
            Settlement::Retry => "retry",
            Settlement::Release => "release",
        };
        self.add(next, is_dependable, label, slot.job);
        if state.faults_left.lost_answers > 0 && slot.phase == AttemptPhase::Running {
            next.faults_left.lost_answers -= 1;
            let mine = &mut next.slots[n];
            (mine.phase, mine.fence, mine.call) = (AttemptPhase::Repeating, slot.fence, call);
            self.add(next, false, "a settling call; its answer is lost", slot.job);
        }
    }

    /// Checks a settling call that takes effect.
    fn check_settlement(&mut self, state: &State, slot: &WorkerSlot, change: &ModelChange) {
        let job = slot.job;
        if slot.phase == AttemptPhase::Repeating {
            self.report_violation(format!(
                "a repeated call about job {job} takes effect a second time"
            ));
        }
        if !slot.is_newest_attempt {
            self.report_violation(format!(
                "the outcome of an older attempt at job {job} takes effect"
            ));
        }
        let completed = |ended: Option<(JobLife, u8, u8)>| {
            ended.is_some_and(|(life, ..)| life == JobLife::Completed)
        };
        if completed(change.ended[usize::from(job)]) {
            if !state.lane.is_head(job) {
                self.report_violation(format!("job {job} completes before its turn"));
            }
            if !slot.context {
                self.report_violation(format!(
                    "job {job} completes with a context that is not the newest"
                ));
            }
        }
    }

    /// A first settling call that counts as a repeat loses its outcome.
    fn check_outcome_not_lost(&mut self, slot: &WorkerSlot, live: bool) {
        if live {
            let (job, fence) = (slot.job, slot.fence);
            self.report_violation(format!("the outcome of fence {fence} of job {job} is lost"));
        }
    }
}

fn done(slot: &WorkerSlot) -> WorkerSlot {
    WorkerSlot {
        phase: AttemptPhase::Done,
        job: slot.job,
        publisher: slot.publisher,
        ..WorkerSlot::default()
    }
}
