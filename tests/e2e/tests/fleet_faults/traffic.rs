//! Sessions that submit during a fault. Each submit has an idempotency key and goes to a random gateway. A
//! refused or unanswered submit is recorded and repeated.
//!
//! `load` is the fast traffic that every fault test uses. If a fault lasts longer than the load, the test adds
//! slow traffic ([`Pace::SLOW`]). `session` implements one session.

use std::{sync::Arc, time::Duration};

use e2e::{
    fleet::{Accepted, Fleet, Load, TIMEOUT},
    order::SessionRun,
};
use tokio::{sync::Semaphore, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    pace::Pace,
    refusal::Refusal,
    session::{RetriedTurn, Session, SubmitLog},
};

/// The limit on concurrent submits. A gateway refuses a submit whose commit takes longer than two seconds. On a busy
/// machine, 200 concurrent submits can take that long without any fault. With 64, the gateways are still busy, but each
/// submit is faster.
const CONCURRENT_SUBMITS: usize = 64;
/// How long all jobs may take to end after the last submit.
const DONE_WITHIN: Duration = Duration::from_secs(300);
/// Every session submits interactive jobs.
pub(crate) const INTERACTIVE_ONLY: &[&str] = &["interactive"];
/// Every second session submits batch jobs.
pub(crate) const BOTH_CLASSES: &[&str] = &["interactive", "batch"];

/// Sessions that submit their turns.
pub(crate) struct Traffic {
    pace: Pace,
    stop: CancellationToken,
    sessions: JoinSet<(String, Vec<String>)>,
    submit_log: Arc<SubmitLog>,
    /// A session takes a permit for each of its turns.
    turn_permits: Arc<Semaphore>,
}

impl Traffic {
    /// Starts the sessions. Their names begin with `name`, and they use the classes in rotation.
    pub(crate) fn start(
        fleet: &Fleet,
        name: &str,
        classes: &[&'static str],
        pace: Pace,
        seed: u64,
    ) -> Self {
        Self::start_paused_at(pace.total_turns(), fleet, name, classes, pace, seed)
    }

    /// Like [`Traffic::start`], but pauses after `turns` turns of all sessions, until the caller allows more.
    pub(crate) fn start_paused_at(
        turns: usize,
        fleet: &Fleet,
        name: &str,
        classes: &[&'static str],
        pace: Pace,
        seed: u64,
    ) -> Self {
        let mut traffic = Self {
            pace,
            stop: CancellationToken::new(),
            sessions: JoinSet::new(),
            submit_log: Arc::default(),
            turn_permits: Arc::new(Semaphore::new(turns)),
        };
        let submit_permits = Arc::new(Semaphore::new(CONCURRENT_SUBMITS));
        for number in 0..pace.sessions {
            let session = Session {
                name: format!("{name}-{number}"),
                class: classes[number % classes.len()],
                client: fleet.client.with_seed(seed.wrapping_add(number as u64)),
                submit_permits: Arc::clone(&submit_permits),
                turn_permits: Arc::clone(&traffic.turn_permits),
                submit_log: Arc::clone(&traffic.submit_log),
            };
            let delay = pace.pause.mul_f64(number as f64 / pace.sessions as f64);
            let stop = traffic.stop.clone();
            let session = Arc::new(session);
            traffic.sessions.spawn(session.run(pace, delay, stop));
        }
        traffic
    }

    /// Allows `count` more turns.
    pub(crate) fn allow_turns(&self, count: usize) {
        self.turn_permits.add_permits(count);
    }

    /// The number of accepted turns so far.
    pub(crate) fn accepted(&self) -> usize {
        *self.submit_log.accepted.borrow()
    }

    /// The turn number of an accepted job within its session.
    pub(crate) fn turn_of(&self, job: &str) -> u64 {
        let turn = self.submit_log.records().turns.get(job).copied();
        turn.unwrap_or_else(|| panic!("job {job} was not accepted"))
    }

    /// The refused submits so far.
    pub(crate) fn refusals(&self) -> Vec<Refusal> {
        self.submit_log.records().refusals.clone()
    }

    /// The number of submits without an answer so far.
    pub(crate) fn unanswered(&self) -> usize {
        self.submit_log.records().unanswered
    }

    /// Asserts that no gateway refused a submit, except because of a slow machine. Only for tests in which the gateways'
    /// Redis had no fault.
    pub(crate) fn assert_none_refused(&self) {
        let refusals = self.refusals().into_iter();
        let (by_slow_machine, refused): (Vec<_>, Vec<_>) =
            refusals.partition(Refusal::is_caused_by_slow_machine);
        assert!(refused.is_empty(), "submits were refused: {refused:?}");
        println!(
            "{} submits were refused because the machine was slow",
            by_slow_machine.len()
        );
    }

    /// Asserts that each submit got an answer and was accepted.
    pub(crate) fn assert_all_submits_accepted(&self) {
        self.assert_none_refused();
        assert_eq!(self.unanswered(), 0, "submits got no answer");
    }

    /// Returns a future that ends when `wanted` turns are accepted, or when the traffic is dropped.
    pub(crate) fn until_accepted(&self, wanted: usize) -> impl Future<Output = ()> + use<> {
        let mut accepted = self.submit_log.accepted.subscribe();
        async move {
            // An error means that the traffic was dropped.
            let _ = accepted.wait_for(|accepted| *accepted >= wanted).await;
        }
    }

    /// Waits at most `timeout` until `wanted` turns are accepted.
    pub(crate) async fn wait_for_accepted(&self, wanted: usize, timeout: Duration) {
        let in_time = tokio::time::timeout(timeout, self.until_accepted(wanted))
            .await
            .is_ok();
        let accepted = self.accepted();
        assert!(
            in_time,
            "only {accepted} of {wanted} turns were accepted within {timeout:?}"
        );
    }

    /// Waits until `count` more turns are accepted than now.
    pub(crate) async fn wait_for_more_accepted(&self, count: usize) {
        self.wait_for_accepted(self.accepted() + count, TIMEOUT)
            .await;
    }

    /// Stops the submits and waits until all jobs have ended. Asserts that:
    ///
    /// - all jobs completed in order, and each reply lists all turns up to its own;
    /// - each session in Redis contains exactly the accepted turns;
    /// - another submit with the key of a retried turn returns the same job.
    pub(crate) async fn finish_in_order(self, fleet: &Fleet) -> Vec<SessionRun> {
        let load = Load {
            sessions: self.pace.sessions,
            turns: self.pace.turns,
            timeout: DONE_WITHIN,
        };
        self.stop.cancel();
        let accepted: Accepted = self.sessions.join_all().await;
        let (refused, unanswered, retried) = {
            let mut records = self.submit_log.records();
            let retried = std::mem::take(&mut records.retried);
            (records.refusals.len(), records.unanswered, retried)
        };
        let turns: usize = accepted.iter().map(|(_, ids)| ids.len()).sum();
        println!(
            "{turns} turns were accepted, {} of them after a retry; {refused} submits were refused, {unanswered} got no answer",
            retried.len()
        );
        let runs = load.assert_in_order(fleet, accepted).await;
        fleet.wait_for_live_jobs(0, TIMEOUT).await;
        for RetriedTurn { session, turn, job } in retried {
            let repeated = session.submit_again(turn, TIMEOUT).await;
            assert_eq!(
                repeated, job,
                "turn {turn} of {} has two jobs",
                session.name
            );
        }
        runs
    }
}
