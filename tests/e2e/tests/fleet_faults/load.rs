//! The load during which every fault strikes: 200 sessions submit 20 turns each, as fast as they are accepted. Each turn
//! has its own idempotency key and goes to a random gateway.
//!
//! Without faults it takes some seconds. A short fault strikes three times during one load: when a quarter, a half and
//! three quarters of the turns are accepted. A long fault has a load for each strike.

use std::{ops::Deref, time::Duration};

use e2e::{
    fleet::{Fleet, LIMIT},
    order::SessionRun,
};
use scripted_provider::ScriptedLlm;
use tokio::sync::SemaphorePermit;

use crate::{
    machine,
    traffic::{BOTH_CLASSES, INTERACTIVE_ONLY, Pace, Traffic},
};

/// The limit of waits for accepted turns, outages included.
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
    /// The number of turns of all sessions together.
    const ALL: usize = Self::PACE.all();

    /// Starts the load when no other test submits one. The names of the sessions begin with `name`.
    pub(crate) async fn start(fleet: &Fleet, name: &str, seed: u64) -> Self {
        let machine = machine::load().await;
        Self::start_now(fleet, name, seed).holding(machine)
    }

    /// As [`start`](Self::start), with every other session in the class batch.
    pub(crate) async fn start_of_both_classes(fleet: &Fleet, name: &str, seed: u64) -> Self {
        let machine = machine::load().await;
        let traffic = Traffic::start(fleet, name, BOTH_CLASSES, Self::PACE, seed);
        Self(traffic).holding(machine)
    }

    /// Starts the load at once. For a test that holds the permit [`machine::load`] itself, and longer.
    pub(crate) fn start_now(fleet: &Fleet, name: &str, seed: u64) -> Self {
        let traffic = Traffic::start(fleet, name, INTERACTIVE_ONLY, Self::PACE, seed);
        Self(traffic)
    }

    /// Holds the permit until all turns are accepted.
    fn holding(self, machine: SemaphorePermit<'static>) -> Self {
        let accepted = self.when_accepted(Self::ALL);
        tokio::spawn(async move {
            accepted.await;
            drop(machine);
        });
        self
    }

    /// Waits until `part` / `parts` of the turns are accepted.
    pub(crate) async fn wait_until_accepted(&self, part: usize, parts: usize) {
        self.wait_for_accepted(Self::ALL * part / parts, ACCEPTED_WITHIN)
            .await;
    }

    /// Waits until `count` more turns are accepted, or all.
    pub(crate) async fn wait_for_more(&self, count: usize) {
        let wanted = Self::ALL.min(self.accepted() + count);
        self.wait_for_accepted(wanted, LIMIT).await;
    }

    /// Waits until all turns are accepted.
    pub(crate) async fn wait_until_all_accepted(&self) {
        self.wait_until_accepted(1, 1).await;
    }

    /// Checks that a fault struck during work, and prints the state of the load.
    ///
    /// # Panics
    /// If all turns were accepted before, or no job was unfinished.
    pub(crate) fn assert_struck(&self, llm: &ScriptedLlm, fault: &str) {
        let (accepted, unfinished) = (self.accepted(), llm.stats().in_flight);
        println!(
            "{fault}, with {accepted} of {} turns accepted and {unfinished} calls in flight",
            Self::ALL
        );
        assert!(
            accepted < Self::ALL,
            "{fault} after all turns were accepted"
        );
        assert!(unfinished > 0, "{fault} when no job was unfinished");
    }

    /// As [`Traffic::end_in_order`], with all turns of every session.
    pub(crate) async fn end_in_order(self, fleet: &Fleet) -> Vec<SessionRun> {
        self.wait_until_all_accepted().await;
        let runs = self.0.end_in_order(fleet).await;
        let turns: usize = runs.iter().map(|run| run.jobs.len()).sum();
        assert_eq!(turns, Self::ALL);
        runs
    }
}

impl Deref for Load {
    type Target = Traffic;

    fn deref(&self) -> &Traffic {
        &self.0
    }
}
