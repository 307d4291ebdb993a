//! The load of every fault test: 200 sessions submit 20 turns each, as fast as the gateways accept them. Each
//! submit has an idempotency key and goes to a random gateway.
//!
//! Without a fault, a load takes some seconds. A short fault happens three times during one load: when a quarter, a
//! half and three quarters of its turns are accepted. A long fault happens once during each load.

use std::{ops::Deref, time::Duration};

use e2e::{
    fleet::{Fleet, LIMIT},
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

/// A running load.
pub(crate) struct Load(Traffic);

impl Load {
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

    /// Waits until no other test submits a load, and starts one. The names of the sessions begin with `name`.
    pub(crate) async fn start(fleet: &Fleet, name: &str, seed: u64) -> Self {
        let permit = permits::for_load().await;
        Self::start_now(fleet, name, seed).keep_until_accepted(permit)
    }

    /// Does the same as [`Load::start`], but every second session submits batch jobs.
    pub(crate) async fn start_of_both_classes(fleet: &Fleet, name: &str, seed: u64) -> Self {
        let permit = permits::for_load().await;
        let traffic = Traffic::start(fleet, name, BOTH_CLASSES, Self::PACE, seed);
        Self(traffic).keep_until_accepted(permit)
    }

    /// Starts a load immediately. The caller must have a permit of [`permits::for_load`], and may keep it for longer
    /// than the load.
    pub(crate) fn start_now(fleet: &Fleet, name: &str, seed: u64) -> Self {
        let traffic = Traffic::start(fleet, name, INTERACTIVE_ONLY, Self::PACE, seed);
        Self(traffic)
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

    /// Waits until `part` / `parts` of the load's turns are accepted.
    pub(crate) async fn wait_for_fraction(&self, part: usize, parts: usize) {
        self.wait_for_accepted(Self::TOTAL_TURNS * part / parts, ACCEPTED_WITHIN)
            .await;
    }

    /// Waits until `count` more turns are accepted than now, or until all turns are accepted.
    pub(crate) async fn wait_for_more_accepted(&self, count: usize) {
        let wanted = Self::TOTAL_TURNS.min(self.accepted() + count);
        self.wait_for_accepted(wanted, LIMIT).await;
    }

    /// Waits until all turns of the load are accepted.
    pub(crate) async fn wait_for_all_accepted(&self) {
        self.wait_for_fraction(1, 1).await;
    }

    /// Asserts that the load was running when `fault` happened, and prints its progress. Call this right after the
    /// fault.
    ///
    /// # Panics
    /// If all turns were accepted before the fault, or no job was unfinished.
    pub(crate) fn assert_fault_during_load(&self, llm: &ScriptedLlm, fault: &str) {
        let (accepted, unfinished) = (self.accepted(), llm.stats().in_flight);
        println!(
            "{fault}, with {accepted} of {} turns accepted and {unfinished} calls in flight",
            Self::TOTAL_TURNS
        );
        assert!(
            accepted < Self::TOTAL_TURNS,
            "{fault}, but all turns were accepted before"
        );
        assert!(unfinished > 0, "{fault}, but no job was unfinished");
    }

    /// Waits until all turns of the load are accepted, and then does the same as [`Traffic::finish_in_order`].
    pub(crate) async fn finish_in_order(self, fleet: &Fleet) -> Vec<SessionRun> {
        self.wait_for_all_accepted().await;
        let runs = self.0.finish_in_order(fleet).await;
        let turns: usize = runs.iter().map(|run| run.jobs.len()).sum();
        assert_eq!(turns, Self::TOTAL_TURNS);
        runs
    }
}

impl Deref for Load {
    type Target = Traffic;

    fn deref(&self) -> &Traffic {
        &self.0
    }
}
