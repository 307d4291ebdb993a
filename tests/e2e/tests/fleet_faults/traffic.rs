//! Sessions that submit during a fault. Each turn has its own idempotency key and goes to a random gateway. Submits that
//! are refused or not answered are recorded and retried.
//!
//! The load of all faults (`load`) is one kind of traffic. For the rest of a fault that takes longer, there is slow
//! traffic ([`Pace::PROBES`]). One session is in `session`.

use std::{sync::Arc, time::Duration};

use e2e::{
    client::id_of,
    fleet::{Accepted, Fleet, LIMIT, Load},
    order::SessionRun,
};
use tokio::{sync::Semaphore, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    refusal::Refusal,
    session::{Ledger, Repeated, Session},
};

/// The most submits in flight: enough to keep the gateways busy, and so few that none waits long there. A gateway refuses
/// a submit that takes more than two seconds, and on a busy machine 200 concurrent submits can take as long without any
/// fault.
const AT_ONCE: usize = 64;
/// How long all jobs may take after the last submit.
const DONE_WITHIN: Duration = Duration::from_secs(300);
/// The classes of the sessions, in rotation.
pub(crate) const INTERACTIVE_ONLY: &[&str] = &["interactive"];
pub(crate) const BOTH_CLASSES: &[&str] = &["interactive", "batch"];

/// The amount and the speed of traffic.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// The number of sessions, which submit concurrently.
    pub(crate) sessions: usize,
    /// The number of turns of each session: at most half the bound on kept messages.
    pub(crate) turns: u64,
    /// The number of turns between two pauses. Each is submitted when the one before is accepted.
    pub(crate) burst: u64,
    /// The pause of a session between two bursts.
    pub(crate) pause: Duration,
}

impl Pace {
    /// 20 sessions with about 13 turns a second together, for more than two minutes.
    pub(crate) const PROBES: Self = Self {
        sessions: 20,
        turns: 96,
        burst: 2,
        pause: Duration::from_secs(3),
    };

    /// The turns of all sessions together.
    pub(crate) const fn all(&self) -> usize {
        self.sessions * self.turns as usize
    }
}

/// Running traffic.
pub(crate) struct Traffic {
    pace: Pace,
    stop: CancellationToken,
    sessions: JoinSet<(String, Vec<String>)>,
    ledger: Arc<Ledger>,
}

impl Traffic {
    /// Starts the traffic. The names of the sessions begin with `name`.
    pub(crate) fn start(
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
            ledger: Arc::default(),
        };
        let at_once = Arc::new(Semaphore::new(AT_ONCE));
        for n in 0..pace.sessions {
            let session = Session {
                name: format!("{name}-{n}"),
                class: classes[n % classes.len()],
                client: fleet.client.choosing_from(seed.wrapping_add(n as u64)),
                at_once: Arc::clone(&at_once),
                ledger: Arc::clone(&traffic.ledger),
            };
            let begin = pace.pause.mul_f64(n as f64 / pace.sessions as f64);
            let stop = traffic.stop.clone();
            let session = Arc::new(session);
            traffic.sessions.spawn(session.run(pace, begin, stop));
        }
        traffic
    }

    /// The number of turns accepted so far.
    pub(crate) fn accepted(&self) -> usize {
        *self.ledger.accepted.borrow()
    }

    /// The number of an accepted job's turn in its session.
    pub(crate) fn turn_of(&self, job: &str) -> u64 {
        let turn = self.ledger.records().turns.get(job).copied();
        turn.unwrap_or_else(|| panic!("job {job} was not accepted"))
    }

    /// The refusals so far.
    pub(crate) fn refusals(&self) -> Vec<Refusal> {
        self.ledger.records().refusals.clone()
    }

    /// The number of submits without an answer so far.
    pub(crate) fn unanswered(&self) -> usize {
        self.ledger.records().unanswered
    }

    /// # Panics
    /// If a submit was refused.
    pub(crate) fn assert_none_refused(&self) {
        let refused = self.refusals();
        assert!(refused.is_empty(), "refused: {refused:?}");
    }

    /// # Panics
    /// If a submit was refused or not answered.
    pub(crate) fn assert_no_failed_submit(&self) {
        self.assert_none_refused();
        assert_eq!(self.unanswered(), 0, "submits were not answered");
    }

    /// Ends when `wanted` turns are accepted, or when no session submits any more.
    pub(crate) fn when_accepted(&self, wanted: usize) -> impl Future<Output = ()> + use<> {
        let mut accepted = self.ledger.accepted.subscribe();
        async move {
            // An error means that no session submits any more.
            let _ = accepted.wait_for(|accepted| *accepted >= wanted).await;
        }
    }

    /// Waits until `wanted` turns are accepted, for at most `limit`.
    pub(crate) async fn wait_for_accepted(&self, wanted: usize, limit: Duration) {
        let enough = timeout(limit, self.when_accepted(wanted)).await.is_ok();
        assert!(enough, "{} accepted, not {wanted}", self.accepted());
    }

    /// Waits until `count` more turns are accepted.
    pub(crate) async fn wait_for_more(&self, count: usize) {
        self.wait_for_accepted(self.accepted() + count, LIMIT).await;
    }

    /// Ends the submits and waits until all jobs have ended. Then it checks that:
    /// - each job completed in order, with a reply made from all turns before it;
    /// - each context in Redis is exactly the accepted turns;
    /// - a repeated submit with the same key gets the same job.
    pub(crate) async fn end_in_order(self, fleet: &Fleet) -> Vec<SessionRun> {
        let load = Load {
            sessions: self.pace.sessions,
            turns: self.pace.turns,
            limit: DONE_WITHIN,
        };
        self.stop.cancel();
        let accepted: Accepted = self.sessions.join_all().await;
        let (refused, unanswered, repeated) = {
            let mut records = self.ledger.records();
            let repeated = std::mem::take(&mut records.repeated);
            (records.refusals.len(), records.unanswered, repeated)
        };
        let turns: usize = accepted.iter().map(|(_, ids)| ids.len()).sum();
        println!(
            "{turns} turns accepted, {} of them not at once: {refused} submits refused, {unanswered} not answered",
            repeated.len()
        );
        let runs = load.assert_in_order(fleet, accepted).await;
        fleet.live_jobs_become(0, LIMIT).await;
        for Repeated { session, n, job } in repeated {
            let answer = session.try_submit(n).await.expect("an answer");
            let repeated = id_of(&answer.expect(202)).to_owned();
            assert_eq!(repeated, job, "turn {n} of {} has two jobs", session.name);
        }
        runs
    }
}
