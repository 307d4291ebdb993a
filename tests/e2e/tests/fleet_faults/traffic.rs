//! Sessions that submit while something breaks, each turn under an idempotency key and to any of the
//! gateways at random. What is refused or not answered is noted, and tried again.
//!
//! The load that all faults strike under is traffic of one kind (`load`). Where a fault lasts longer than
//! that, traffic at a slow pace goes on for the rest ([`Pace::PROBES`]). How one session does it is in `session`.

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

/// The most submits under way at a time: enough that the gateways are never idle, so few that none waits long
/// for its turn there. A submit that takes more than two seconds is refused, whatever the reason, and on a
/// machine that is busy otherwise a crowd of 200 can take as long without any fault.
const AT_ONCE: usize = 64;
/// How long everything may take after the last submit.
const DONE_WITHIN: Duration = Duration::from_secs(300);
/// The classes that sessions are of, in turn.
pub(crate) const INTERACTIVE_ONLY: &[&str] = &["interactive"];
pub(crate) const BOTH_CLASSES: &[&str] = &["interactive", "batch"];

/// How much traffic.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// How many sessions submit side by side.
    pub(crate) sessions: usize,
    /// The turns of each, after which it ends by itself; half the bound on kept messages at most.
    pub(crate) turns: u64,
    /// Of these so many right after each other, each as soon as the one before is accepted.
    pub(crate) burst: u64,
    /// How long a session pauses between its bursts.
    pub(crate) pause: Duration,
}

impl Pace {
    /// 20 sessions, of about 13 turns a second together: for more than two minutes.
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

/// Traffic under way.
pub(crate) struct Traffic {
    pace: Pace,
    stop: CancellationToken,
    sessions: JoinSet<(String, Vec<String>)>,
    ledger: Arc<Ledger>,
}

impl Traffic {
    /// Begins. The sessions' names begin with `name`.
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

    /// How many turns were accepted so far.
    pub(crate) fn accepted(&self) -> usize {
        *self.ledger.accepted.borrow()
    }

    /// Which turn of its session an accepted job is.
    pub(crate) fn turn_of(&self, job: &str) -> u64 {
        let turn = self.ledger.records().turns.get(job).copied();
        turn.unwrap_or_else(|| panic!("job {job} was not accepted"))
    }

    /// What was refused so far.
    pub(crate) fn refusals(&self) -> Vec<Refusal> {
        self.ledger.records().refusals.clone()
    }

    /// How many submits got no answer so far.
    pub(crate) fn unanswered(&self) -> usize {
        self.ledger.records().unanswered
    }

    /// Fails if a submit was refused.
    pub(crate) fn assert_none_refused(&self) {
        let refused = self.refusals();
        assert!(refused.is_empty(), "refused: {refused:?}");
    }

    /// Fails if a submit was refused or not answered.
    pub(crate) fn assert_untroubled(&self) {
        self.assert_none_refused();
        assert_eq!(self.unanswered(), 0, "submits were not answered");
    }

    /// The moment at which so many turns are accepted, or at which it is given up.
    pub(crate) fn when_accepted(&self, wanted: usize) -> impl Future<Output = ()> + use<> {
        let mut accepted = self.ledger.accepted.subscribe();
        async move {
            // An error says that nobody submits any more.
            let _ = accepted.wait_for(|accepted| *accepted >= wanted).await;
        }
    }

    /// Waits until so many turns are accepted, for at most so long.
    pub(crate) async fn accepts(&self, wanted: usize, limit: Duration) {
        let enough = timeout(limit, self.when_accepted(wanted)).await.is_ok();
        assert!(enough, "{} accepted, not {wanted}", self.accepted());
    }

    /// Waits until so many more turns than now are accepted.
    pub(crate) async fn goes_on(&self, count: usize) {
        self.accepts(self.accepted() + count, LIMIT).await;
    }

    /// Ends the submits, waits until all jobs have ended, and checks that each completed, in order, each
    /// reply made from all turns before it, and each context in Redis is exactly the accepted turns; and
    /// that who asks again with the key of a submit that had to be repeated is told of the same job.
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
            let told = id_of(&answer.expect(202)).to_owned();
            assert_eq!(told, job, "turn {n} of {} has two jobs", session.name);
        }
        runs
    }
}
