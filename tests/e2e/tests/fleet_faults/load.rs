//! The load of every fault test: 200 sessions submit 20 turns each, as fast as the gateways accept them. Each
//! submit has an idempotency key and goes to a random gateway.
//!
//! Without a fault, a load takes some seconds. A short fault happens three or four times during one load, after equal parts
//! of its turns: three times when a quarter, a half and three quarters are accepted. A long fault happens once during each
//! load.
//!
//! A load pauses when its next fault is due, and continues after the fault. So each fault happens during the load,
//! however slow the test or the fleet is.

use std::{
    ops::Deref,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use e2e::{
    fleet::{Fleet, TIMEOUT},
    order::SessionRun,
};
use scripted_provider::ScriptedLlm;
use tokio::sync::SemaphorePermit;

use crate::{
    pace::Pace,
    permits,
    traffic::{BOTH_CLASSES, INTERACTIVE_ONLY, Traffic},
};

/// How long a test waits for a part of the load, outages included.
const ACCEPTED_WITHIN: Duration = Duration::from_secs(300);

/// The smallest number of parts of a load. Fault `n` is due after part `n`, so there is always a part after the last
/// fault.
const PARTS_MIN: usize = 4;

/// A running load.
pub(crate) struct FaultLoad {
    traffic: Traffic,
    /// How many faults hit the load.
    faults: usize,
    /// How many of these faults have happened.
    happened: AtomicUsize,
}

impl FaultLoad {
    /// The number of sessions.
    pub(crate) const SESSIONS: usize = 200;
    /// The number of turns of each session.
    pub(crate) const TURNS: u64 = 20;
    const PACE: Pace = Pace {
        sessions: Self::SESSIONS,
        turns: Self::TURNS,
        burst: Self::TURNS,
        pause: Duration::ZERO,
    };
    const TOTAL_TURNS: usize = Self::PACE.total_turns();

    /// Waits until no other test submits a load, and starts one. The names of the sessions begin with `name`. `faults`
    /// is the number of faults that will happen during the load.
    pub(crate) async fn start(fleet: &Fleet, name: &str, faults: usize, seed: u64) -> Self {
        let permit = permits::for_load().await;
        Self::start_now(fleet, name, faults, seed).keep_until_accepted(permit)
    }

    /// Like [`FaultLoad::start`], but every other session submits batch jobs.
    pub(crate) async fn start_of_both_classes(
        fleet: &Fleet,
        name: &str,
        faults: usize,
        seed: u64,
    ) -> Self {
        let permit = permits::for_load().await;
        Self::start_of(fleet, name, BOTH_CLASSES, faults, seed).keep_until_accepted(permit)
    }

    /// Starts a load without waiting for a permit. The caller must hold a permit of [`permits::for_load`].
    pub(crate) fn start_now(fleet: &Fleet, name: &str, faults: usize, seed: u64) -> Self {
        Self::start_of(fleet, name, INTERACTIVE_ONLY, faults, seed)
    }

    fn start_of(
        fleet: &Fleet,
        name: &str,
        classes: &[&'static str],
        faults: usize,
        seed: u64,
    ) -> Self {
        let first_part = Self::TOTAL_TURNS / parts(faults);
        Self {
            traffic: Traffic::start_paused_at(first_part, fleet, name, classes, Self::PACE, seed),
            faults,
            happened: AtomicUsize::new(0),
        }
    }

    /// Keeps the permit until all turns are accepted.
    fn keep_until_accepted(self, permit: SemaphorePermit<'static>) -> Self {
        let accepted = self.until_accepted(Self::TOTAL_TURNS);
        tokio::spawn(async move {
            accepted.await;
            drop(permit);
        });
        self
    }

    /// Waits until so many turns are accepted that fault `n` is due, counted from 1. Then the load continues with
    /// half of the next part, so that the fleet has jobs until the fault happens.
    pub(crate) async fn wait_until_fault_is_due(&self, n: usize) {
        let part = Self::TOTAL_TURNS / parts(self.faults);
        self.wait_for_accepted(n * part, ACCEPTED_WITHIN).await;
        self.traffic.allow_turns(part / 2);
    }

    /// Waits until `count` more turns are accepted than now, or until all turns are accepted.
    pub(crate) async fn wait_for_more_accepted(&self, count: usize) {
        let wanted = Self::TOTAL_TURNS.min(self.accepted() + count);
        self.wait_for_accepted(wanted, TIMEOUT).await;
    }

    /// Waits until all turns of the load are accepted.
    pub(crate) async fn wait_for_all_accepted(&self) {
        self.wait_for_accepted(Self::TOTAL_TURNS, ACCEPTED_WITHIN)
            .await;
    }

    /// Asserts that the load was running when `fault` happened, and prints its progress. Then the load continues until the
    /// next fault is due. Call this right after each fault.
    ///
    /// # Panics
    /// If all turns were accepted before the fault, or no call was in flight.
    pub(crate) fn assert_fault_during_load(&self, llm: &ScriptedLlm, fault: &str) {
        let (accepted, in_flight) = (self.accepted(), llm.stats().in_flight);
        println!(
            "{fault}, with {accepted} of {} turns accepted and {in_flight} calls in flight",
            Self::TOTAL_TURNS
        );
        assert!(
            accepted < Self::TOTAL_TURNS,
            "{fault}, but all turns were accepted before"
        );
        assert!(in_flight > 0, "{fault}, but no call was in flight");
        let happened = self.happened.fetch_add(1, Ordering::Relaxed) + 1;
        let parts = parts(self.faults);
        let part = Self::TOTAL_TURNS / parts;
        self.traffic.allow_turns(part - part / 2);
        if happened == self.faults {
            self.traffic
                .allow_turns(Self::TOTAL_TURNS - (happened + 1) * part);
        }
    }

    /// Waits until all turns of the load are accepted, and then does the same as [`Traffic::finish_in_order`].
    pub(crate) async fn finish_in_order(self, fleet: &Fleet) -> Vec<SessionRun> {
        self.wait_for_all_accepted().await;
        let runs = self.traffic.finish_in_order(fleet).await;
        let turns: usize = runs.iter().map(|run| run.jobs.len()).sum();
        assert_eq!(turns, Self::TOTAL_TURNS);
        runs
    }
}

impl Deref for FaultLoad {
    type Target = Traffic;

    fn deref(&self) -> &Traffic {
        &self.traffic
    }
}

/// The number of parts of a load with this many faults.
const fn parts(faults: usize) -> usize {
    if faults + 1 > PARTS_MIN {
        faults + 1
    } else {
        PARTS_MIN
    }
}
