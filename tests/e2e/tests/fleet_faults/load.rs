//! The load that every fault strikes under: 200 sessions submit 20 turns each, as fast as they are accepted,
//! each turn under an idempotency key and to either gateway at random.
//!
//! It lasts some seconds when nothing hinders it. A fault that is over sooner strikes it three times, when a
//! quarter, a half and three quarters of its turns are accepted; for one that lasts longer each strike has a
//! load of its own.

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

/// How long it may take until so much of it is accepted as a test waits for, outages included.
const ACCEPTED_WITHIN: Duration = Duration::from_secs(300);

/// The load under way.
pub(crate) struct Load(Traffic);

impl Load {
    pub(crate) const SESSIONS: usize = 200;
    /// Of each session.
    pub(crate) const TURNS: u64 = 20;
    const PACE: Pace = Pace {
        sessions: Self::SESSIONS,
        turns: Self::TURNS,
        burst: Self::TURNS,
        pause: Duration::ZERO,
    };
    /// The turns of all sessions together.
    const ALL: usize = Self::PACE.all();

    /// Begins, as soon as no other test's load is being submitted. The sessions' names begin with `name`.
    pub(crate) async fn start(fleet: &Fleet, name: &str, seed: u64) -> Self {
        let machine = machine::load().await;
        Self::start_now(fleet, name, seed).holding(machine)
    }

    /// The same, but every other session is of class batch.
    pub(crate) async fn start_of_both_classes(fleet: &Fleet, name: &str, seed: u64) -> Self {
        let machine = machine::load().await;
        let traffic = Traffic::start(fleet, name, BOTH_CLASSES, Self::PACE, seed);
        Self(traffic).holding(machine)
    }

    /// Begins at once, for a test that holds [`machine::load`] itself, and for longer.
    pub(crate) fn start_now(fleet: &Fleet, name: &str, seed: u64) -> Self {
        let traffic = Traffic::start(fleet, name, INTERACTIVE_ONLY, Self::PACE, seed);
        Self(traffic)
    }

    /// Holds the machine until all turns are accepted.
    fn holding(self, machine: SemaphorePermit<'static>) -> Self {
        let accepted = self.when_accepted(Self::ALL);
        tokio::spawn(async move {
            accepted.await;
            drop(machine);
        });
        self
    }

    /// Waits until `part` of `parts` of its turns are accepted.
    pub(crate) async fn reaches(&self, part: usize, parts: usize) {
        self.accepts(Self::ALL * part / parts, ACCEPTED_WITHIN)
            .await;
    }

    /// Waits until so many more turns than now are accepted, or all.
    pub(crate) async fn goes_on(&self, count: usize) {
        let wanted = Self::ALL.min(self.accepted() + count);
        self.accepts(wanted, LIMIT).await;
    }

    /// Waits until all its turns are accepted.
    pub(crate) async fn is_accepted(&self) {
        self.reaches(1, 1).await;
    }

    /// Says what a fault has struck that has just happened.
    ///
    /// # Panics
    /// When all turns were accepted before, or no job was unfinished.
    pub(crate) fn assert_struck(&self, llm: &ScriptedLlm, fault: &str) {
        let (accepted, unfinished) = (self.accepted(), llm.stats().in_flight);
        println!(
            "{fault}, with {accepted} of {} turns accepted and {unfinished} calls in flight",
            Self::ALL
        );
        assert!(accepted < Self::ALL, "{fault} when all was submitted");
        assert!(unfinished > 0, "{fault} when nothing was unfinished");
    }

    /// As [`Traffic::end_in_order`], with every session whole.
    pub(crate) async fn end_in_order(self, fleet: &Fleet) -> Vec<SessionRun> {
        self.is_accepted().await;
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
