//! A worker receives a wake, claims, calls the provider, settles, publishes the next head's wake and acknowledges its own.
//! It may die before each of these steps.

use crate::{
    protocol::{ClockSkew, ModelChange, ModelEvent},
    state::{DEAD, EntryState, JobStatus, NotBefore, Settlement, SlotPhase, State, WorkerSlot},
};

use super::Model;

impl Model {
    pub(super) fn worker_steps(&mut self, state: &State) {
        for index in 0..state.slots.len() {
            let slot = state.slots[index];
            // A crash ends all slots of its process. So the slots of a single process need only one crash step.
            if state.faults_left.crashes > 0 && (!self.configuration.one_process || index == 0) {
                self.crash(state, index);
            }
            match slot.phase {
                SlotPhase::Idle => self.receive(state, index),
                SlotPhase::WakeReceived | SlotPhase::ClaimUnanswered => {
                    self.claim(state, index, ClockSkew::None);
                    if slot.phase == SlotPhase::WakeReceived && state.faults_left.deferrals > 0 {
                        self.defer(state, index);
                    }
                    let not_before_has_passed = state.lane.entries().first().is_some_and(|head| {
                        let passed = [NotBefore::RetryPassed, NotBefore::HoldPassed];
                        passed
                            .iter()
                            .any(|not_before| head.state == EntryState::Queued(*not_before))
                    });
                    if self.configuration.clocks_may_be_wrong && not_before_has_passed {
                        self.claim(state, index, ClockSkew::Behind);
                    }
                }
                SlotPhase::Running => self.end_call(state, index),
                SlotPhase::SettlementUnanswered => self.settle(state, index, slot.settlement),
                SlotPhase::AckPending => {
                    let mut next = *state;
                    next.slots[index].reset();
                    self.add_dependable(next, "a wake is acknowledged", slot.job);
                }
            }
        }
    }

    /// The whole process dies. The broker delivers its unacknowledged wakes again.
    fn crash(&mut self, state: &State, index: usize) {
        let mut next = *state;
        next.faults_left.crashes -= 1;
        let dead_process = self.configuration.process_of(index);
        for (index, slot) in state.slots.iter().enumerate() {
            if self.configuration.process_of(index) == dead_process {
                if slot.phase != SlotPhase::Idle {
                    next.add_wake(slot.job);
                }
                next.slots[index] = WorkerSlot::default();
            }
        }
        for entry in next.lane.entries_mut() {
            if entry.state == EntryState::Running(dead_process) {
                entry.state = EntryState::Running(DEAD);
            }
        }
        if next.slots != state.slots || next.lane != state.lane {
            self.add_optional(next, "a worker is killed", state.slots[index].job);
        }
    }

    fn receive(&mut self, state: &State, index: usize) {
        for job in 0..state.submitted {
            if state.job(job).wakes == 0 {
                continue;
            }
            let mut next = *state;
            next.job_mut(job).wakes -= 1;
            if self.runs_in_other_slot(state, index, job) {
                self.add_dependable(
                    next,
                    "a wake is dropped: its process already runs the job",
                    job,
                );
                continue;
            }
            let slot = &mut next.slots[index];
            (slot.phase, slot.job) = (SlotPhase::WakeReceived, job);
            self.add_dependable(next, "a worker receives a wake", job);
        }
    }

    fn claim(&mut self, state: &State, index: usize, clock: ClockSkew) {
        let slot = state.slots[index];
        let repeated_fence = (slot.phase == SlotPhase::ClaimUnanswered).then_some(slot.fence);
        let process = self.configuration.process_of(index);
        let is_dependable = clock == ClockSkew::None;
        let claim = ModelEvent::Claim {
            process,
            repeated_fence,
        };
        let change = match self.apply(state, slot.job, claim, clock) {
            Ok(change) => change,
            Err(_) => {
                let mut next = *state;
                next.slots[index].reset();
                let label = "a claim is refused; the wake is acknowledged";
                return self.add(next, is_dependable, label, slot.job);
            }
        };
        let mut next = *state;
        self.commit(&mut next, &change);
        let Some(fence) = change.granted_fence else {
            next.slots[index].reset();
            let label = "a claim is too early; the wake is acknowledged";
            return self.add(next, is_dependable, label, slot.job);
        };
        if next.lane != state.lane {
            // The claim began a new attempt. It was not recognised as a repeat of an earlier claim.
            for other in &mut next.slots {
                if other.job == slot.job {
                    other.is_newest_attempt = false;
                }
            }
            next.slots[index].is_newest_attempt = true;
        }
        let claimed = &mut next.slots[index];
        (claimed.phase, claimed.fence, claimed.has_all_turns) = (SlotPhase::Running, fence, true);
        self.add_dependable(next, "claim", slot.job);
        if state.faults_left.lost_responses > 0 {
            self.claim_unanswered(state, &next, index, fence);
        }
    }

    /// The account of the job's provider has no permit, so the worker defers the job instead of claiming it.
    fn defer(&mut self, state: &State, index: usize) {
        let job = state.slots[index].job;
        let mut next = *state;
        next.faults_left.deferrals -= 1;
        if let Ok(change) = self.apply(state, job, ModelEvent::Defer, ClockSkew::None) {
            let was_running = state
                .lane
                .find(job)
                .is_some_and(|entry| matches!(entry.state, EntryState::Running(_)));
            if was_running && change.lane != state.lane {
                self.report_violation(format!(
                    "the running job {job} is deferred without its fence"
                ));
            }
            self.commit(&mut next, &change);
        }
        next.slots[index].reset();
        self.add_optional(next, "a job is deferred; the wake is acknowledged", job);
        if state.faults_left.lost_responses > 0 {
            next.faults_left.lost_responses -= 1;
            next.add_wake(job);
            self.add_optional(
                next,
                "a deferral; the response is lost; the wake is requeued",
                job,
            );
        }
    }

    /// The claim or its response is lost. `claimed` is the state after a claim whose response arrives.
    fn claim_unanswered(&mut self, state: &State, claimed: &State, index: usize, fence: u8) {
        let job = state.slots[index].job;
        let mut next = *claimed;
        next.faults_left.lost_responses -= 1;
        let slot = &mut next.slots[index];
        (slot.phase, slot.has_all_turns) = (SlotPhase::ClaimUnanswered, false);
        self.add_optional(next, "claim; the response is lost", job);

        if claimed.lane != state.lane {
            // The worker repeats the claim with the fence that the lost claim would have got.
            let mut next = *state;
            next.faults_left.lost_responses -= 1;
            let slot = &mut next.slots[index];
            (slot.phase, slot.fence, slot.is_newest_attempt) =
                (SlotPhase::ClaimUnanswered, fence, false);
            self.add_optional(next, "a claim is lost", job);
        }

        if self.configuration.workers_may_requeue_wakes {
            let mut next = *claimed;
            next.faults_left.lost_responses -= 1;
            next.slots[index].reset();
            next.add_wake(job);
            self.add_optional(
                next,
                "claim; the response is lost; the wake is requeued",
                job,
            );
        }
    }

    /// The provider call ends, in each way that the configuration allows.
    fn end_call(&mut self, state: &State, index: usize) {
        self.settle(state, index, Settlement::Finish);
        if self.configuration.replies_may_call_tools {
            self.settle(state, index, Settlement::FinishWithTools);
        }
        if self.configuration.jobs_may_fail {
            self.settle(state, index, Settlement::Fail);
        }
        if self.configuration.retries > 0 {
            self.settle(state, index, Settlement::Retry);
        }
        if state.faults_left.releases > 0 {
            self.settle(state, index, Settlement::Release);
        }
        if state.faults_left.deferrals > 0 {
            self.settle(state, index, Settlement::Defer);
        }
    }

    fn settle(&mut self, state: &State, index: usize, settlement: Settlement) {
        let slot = state.slots[index];
        let event = ModelEvent::Settle {
            settlement,
            fence: slot.fence,
        };
        let result = self.apply(state, slot.job, event, ClockSkew::None);
        let mut next = *state;
        if slot.phase == SlotPhase::Running && settlement == Settlement::Release {
            next.faults_left.releases -= 1;
        }
        if slot.phase == SlotPhase::Running && settlement == Settlement::Defer {
            next.faults_left.deferrals -= 1;
        }
        let change = match result {
            Err(_) => {
                next.slots[index] = with_ack_pending(&slot);
                return self.add_dependable(next, "a settlement is refused", slot.job);
            }
            Ok(change) => change,
        };
        if change.changes_nothing_in(&state.lane) {
            if slot.phase == SlotPhase::Running && state.job(slot.job).status == JobStatus::Live {
                let (job, fence) = (slot.job, slot.fence);
                self.report_violation(format!(
                    "the first settlement of job {job} with fence {fence} is lost: it was taken for a repeat"
                ));
            }
            next.slots[index] = with_ack_pending(&slot);
            return self.add_dependable(next, "a settlement is a repeat", slot.job);
        }
        self.check_settlement(state, &slot, &change);
        if change.wake.is_some() && !slot.publisher.is_idle() {
            // The task that publishes this slot's wakes is busy. This step becomes possible in a later state, in which
            // that task is idle.
            return;
        }
        let publisher = self.commit(&mut next, &change);
        next.slots[index] = with_ack_pending(&next.slots[index]);
        if change.wake.is_some() {
            next.slots[index].publisher = publisher;
        }
        let is_dependable = matches!(settlement, Settlement::Finish | Settlement::FinishWithTools);
        let label = match settlement {
            Settlement::Finish => "finish",
            Settlement::FinishWithTools => "finish with tool calls",
            Settlement::Fail => "finish as failed",
            Settlement::Retry => "retry",
            Settlement::Defer => "deferral of a running job",
            Settlement::Release => "release",
        };
        self.add(next, is_dependable, label, slot.job);
        if state.faults_left.lost_responses > 0 && slot.phase == SlotPhase::Running {
            next.faults_left.lost_responses -= 1;
            let unanswered = &mut next.slots[index];
            unanswered.phase = SlotPhase::SettlementUnanswered;
            (unanswered.fence, unanswered.settlement) = (slot.fence, settlement);
            self.add_optional(next, "a settlement; the response is lost", slot.job);
        }
    }

    /// Checks a settlement that takes effect.
    fn check_settlement(&mut self, state: &State, slot: &WorkerSlot, change: &ModelChange) {
        let job = slot.job;
        if slot.phase == SlotPhase::SettlementUnanswered {
            self.report_violation(format!(
                "a repeated settlement of job {job} takes effect a second time"
            ));
        }
        if !slot.is_newest_attempt {
            self.report_violation(format!(
                "the settlement by an older attempt at job {job} takes effect"
            ));
        }
        let outcome = change.outcomes[usize::from(job)];
        if outcome.is_some_and(|outcome| outcome.status == JobStatus::Completed) {
            if !state.lane.is_head(job) {
                self.report_violation(format!("job {job} completes but is not the head"));
            }
            if !slot.has_all_turns {
                self.report_violation(format!(
                    "job {job} completes without the newest turns of its session"
                ));
            }
        }
    }
}

/// The slot after its attempt has ended. It acknowledges the wake next.
fn with_ack_pending(slot: &WorkerSlot) -> WorkerSlot {
    WorkerSlot {
        phase: SlotPhase::AckPending,
        job: slot.job,
        publisher: slot.publisher,
        ..WorkerSlot::default()
    }
}
