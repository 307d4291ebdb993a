//! Workers: a wake, a claim, a call, a commit, the next head's wake, an ack; and their deaths.

use crate::{
    protocol::{Change, Clock, Happening},
    state::{Call, DEAD, Doing, Life, Pause, Phase, Slot, State},
};

use super::World;

impl World {
    pub(super) fn worker_steps(&mut self, state: &State) {
        for n in 0..state.slots.len() {
            let slot = state.slots[n];
            if state.left.crashes > 0 && (!self.configuration.one_process || n == 0) {
                self.crash(state, n);
            }
            match slot.phase {
                Phase::Idle => self.receive(state, n),
                Phase::Got | Phase::Asked => {
                    self.claim(state, n, Clock::True);
                    let late = state.lane.entries().first().is_some_and(|head| {
                        let passed = [Pause::RetryPassed, Pause::HoldPassed];
                        passed
                            .iter()
                            .any(|pause| head.doing == Doing::Queued(*pause))
                    });
                    if self.configuration.skew && late {
                        self.claim(state, n, Clock::Behind);
                    }
                }
                Phase::Running => self.end_call(state, n),
                Phase::Repeating => self.settle(state, n, slot.call),
                Phase::Done => {
                    let mut next = *state;
                    next.slots[n].rest();
                    self.add(next, true, "ack", slot.job);
                }
            }
        }
    }

    /// The whole process dies; the broker has its messages again.
    fn crash(&mut self, state: &State, n: usize) {
        let mut next = *state;
        next.left.crashes -= 1;
        let me = self.configuration.process(n);
        for other in 0..state.slots.len() {
            if self.configuration.process(other) == me {
                let slot = state.slots[other];
                if slot.phase != Phase::Idle {
                    next.give_wake(slot.job);
                }
                next.slots[other] = Slot::default();
            }
        }
        for entry in next.lane.entries_mut() {
            if entry.doing == Doing::Running(me) {
                entry.doing = Doing::Running(DEAD);
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
            (slot.phase, slot.job) = (Phase::Got, job);
            self.add(next, true, "a worker gets a wake", job);
        }
    }

    fn claim(&mut self, state: &State, n: usize, clock: Clock) {
        let slot = state.slots[n];
        let asked = (slot.phase == Phase::Asked).then_some(slot.fence);
        let process = self.configuration.process(n);
        let helps = clock == Clock::True;
        let claim = Happening::Claim { process, asked };
        let change = match self.ask(state, slot.job, claim, clock) {
            Ok(change) => change,
            Err(_) => {
                let mut next = *state;
                next.slots[n].rest();
                return self.add(next, helps, "a claim is refused; ack", slot.job);
            }
        };
        let mut next = *state;
        self.commit(&mut next, &change);
        let Some(fence) = change.granted else {
            next.slots[n].rest();
            return self.add(next, helps, "a claim is too early; ack", slot.job);
        };
        if next.lane != state.lane {
            // A new attempt, and not the recognition of one.
            for other in &mut next.slots {
                if other.job == slot.job {
                    other.newest = false;
                }
            }
            next.slots[n].newest = true;
        }
        let mine = &mut next.slots[n];
        (mine.phase, mine.fence, mine.context) = (Phase::Running, fence, true);
        self.add(next, true, "claim", slot.job);
        if state.left.answers > 0 {
            self.claim_unanswered(state, &next, n, fence);
        }
    }

    fn claim_unanswered(&mut self, state: &State, claimed: &State, n: usize, fence: u8) {
        let job = state.slots[n].job;
        let mut next = *claimed;
        next.left.answers -= 1;
        (next.slots[n].phase, next.slots[n].context) = (Phase::Asked, false);
        self.add(next, false, "claim; its answer is lost", job);

        if claimed.lane != state.lane {
            let mut next = *state;
            next.left.answers -= 1;
            let slot = &mut next.slots[n];
            (slot.phase, slot.fence, slot.newest) = (Phase::Asked, fence, false);
            self.add(next, false, "a claim is lost", job);
        }

        if self.configuration.gives_back {
            let mut next = *claimed;
            next.left.answers -= 1;
            next.slots[n].rest();
            next.give_wake(job);
            self.add(
                next,
                false,
                "claim; its answer is lost; the wake is given back",
                job,
            );
        }
    }

    fn end_call(&mut self, state: &State, n: usize) {
        self.settle(state, n, Call::Finish);
        if self.configuration.tools {
            self.settle(state, n, Call::FinishWithTools);
        }
        if self.configuration.fails {
            self.settle(state, n, Call::Fail);
        }
        if self.configuration.retries > 0 {
            self.settle(state, n, Call::Retry);
        }
        if state.left.releases > 0 {
            self.settle(state, n, Call::Release);
        }
    }

    fn settle(&mut self, state: &State, n: usize, call: Call) {
        let slot = state.slots[n];
        let settle = Happening::Settle {
            call,
            fence: slot.fence,
        };
        let answer = self.ask(state, slot.job, settle, Clock::True);
        let mut next = *state;
        if slot.phase == Phase::Running && call == Call::Release {
            next.left.releases -= 1;
        }
        let change = match answer {
            Err(_) => {
                next.slots[n] = done(&slot);
                return self.add(next, true, "a settling call is refused", slot.job);
            }
            Ok(change) => change,
        };
        if change.is_nothing(&state.lane) {
            if slot.phase == Phase::Running {
                let live = state.job(slot.job).life == Life::Live;
                self.lost(&slot, live);
            }
            next.slots[n] = done(&slot);
            return self.add(next, true, "a settling call is a repeat", slot.job);
        }
        self.judge(state, &slot, &change);
        if change.wake.is_some() && !slot.sender.is_idle() {
            // The background task is at work; this waits for it.
            return;
        }
        let sender = self.commit(&mut next, &change);
        next.slots[n] = done(&next.slots[n]);
        if change.wake.is_some() {
            next.slots[n].sender = sender;
        }
        let helps = matches!(call, Call::Finish | Call::FinishWithTools);
        let label = match call {
            Call::Finish => "finish",
            Call::FinishWithTools => "finish with tool calls",
            Call::Fail => "finish as failed",
            Call::Retry => "retry",
            Call::Release => "release",
        };
        self.add(next, helps, label, slot.job);
        if state.left.answers > 0 && slot.phase == Phase::Running {
            next.left.answers -= 1;
            let mine = &mut next.slots[n];
            (mine.phase, mine.fence, mine.call) = (Phase::Repeating, slot.fence, call);
            self.add(next, false, "a settling call; its answer is lost", slot.job);
        }
    }

    /// What must hold of a settling call that takes effect.
    fn judge(&mut self, state: &State, slot: &Slot, change: &Change) {
        let job = slot.job;
        if slot.phase == Phase::Repeating {
            self.violate(format!(
                "a repeated call about job {job} takes effect a second time"
            ));
        }
        if !slot.newest {
            self.violate(format!(
                "the outcome of an older attempt at job {job} takes effect"
            ));
        }
        let completed =
            |ended: Option<(Life, u8, u8)>| ended.is_some_and(|(life, ..)| life == Life::Completed);
        if completed(change.ended[usize::from(job)]) {
            if !state.lane.is_head(job) {
                self.violate(format!("job {job} completes before its turn"));
            }
            if !slot.context {
                self.violate(format!(
                    "job {job} completes with a context that is not the newest"
                ));
            }
        }
    }

    /// A worker that never settled this fence is told that it was settled.
    fn lost(&mut self, slot: &Slot, live: bool) {
        if live {
            let (job, fence) = (slot.job, slot.fence);
            self.violate(format!("the outcome of fence {fence} of job {job} is lost"));
        }
    }
}

fn done(slot: &Slot) -> Slot {
    Slot {
        phase: Phase::Done,
        job: slot.job,
        sender: slot.sender,
        ..Slot::default()
    }
}
