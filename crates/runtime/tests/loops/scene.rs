//! One process's lanes over a fickle store, and short names for what is done to them.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use forebay_runtime::{
    gauge::Gauge,
    lanes::{
        AdmitOptions, Applied, AttemptOutput, ClaimKey, LaneChange, LaneError, LaneSettings, Lanes,
        RetryOptions,
    },
    member::{Member, MemberSettings},
    wakes::Wakes,
};
use forebay_shared::{
    class::Class,
    document::{UnknownFields, Version},
    ids::{JobId, LaneKey, ProcessId, SessionId, TenantId},
    job::{FinishReason, JobError, JobMeta, Reply, Request, Status},
    lane::{Admit, Entry, IfBusy},
    session::SessionBounds,
    store::{NewJob, Store as _},
    time::TimeMs,
    turn::{Content, Role, Turn},
};
use tokio::task::JoinHandle;

use crate::{fickle::Fickle, queue::FakeQueue, store::Memory};

/// How long after its admission a job's deadline is, unless a test says otherwise.
pub(crate) const DEADLINE_MS: u64 = 3_600_000;
/// How long a call may take.
pub(crate) const LIMIT_MS: u64 = 600_000;
/// After how long without a sign a process counts as gone.
pub(crate) const PRESENCE_MS: u64 = 3_000;
/// How long a change may wait for the store, unless a test says otherwise.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// A process, its store and its queue.
pub(crate) struct Scene {
    /// What is behind the faults.
    pub(crate) memory: Arc<Memory>,
    /// What the process sees.
    pub(crate) store: Arc<Fickle>,
    pub(crate) queue: Arc<FakeQueue>,
    pub(crate) lanes: Lanes,
    pub(crate) wakes: Wakes,
    pub(crate) wakes_loop: JoinHandle<()>,
}

/// Bounds that no test comes near.
fn settings() -> LaneSettings {
    LaneSettings {
        session: SessionBounds {
            ttl_ms: 3_600_000,
            turns_max: 1_000,
            turns_bytes_max: 1_000_000,
        },
        result_ttl_ms: 3_600_000,
    }
}

/// Lets everything go on that can go on without more than a millisecond of the clock.
pub(crate) async fn settle() {
    pass_ms(1).await;
}

/// Lets this time pass on the clock.
pub(crate) async fn pass_ms(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

/// A process of that name.
pub(crate) fn process(name: &str) -> ProcessId {
    ProcessId::parse(name).unwrap()
}

/// The lane of a session.
pub(crate) fn lane(session: &str) -> LaneKey {
    LaneKey::Session {
        tenant: TenantId::default(),
        session: SessionId::parse(session).unwrap(),
    }
}

/// A new id for a job of a session.
pub(crate) fn job_of(session: &str) -> JobId {
    JobId::fresh(&TenantId::default(), lane(session).session())
}

impl Scene {
    pub(crate) fn new() -> Self {
        let memory = Arc::new(Memory::new());
        let store = Arc::new(Fickle::new(Arc::clone(&memory)));
        let queue = Arc::new(FakeQueue::default());
        let (wakes, run) = Wakes::new(queue.clone(), store.clone(), Arc::new(Gauge::default()));
        Self {
            lanes: Lanes::new(store.clone(), wakes.clone(), settings()),
            wakes_loop: tokio::spawn(run.run()),
            wakes,
            memory,
            store,
            queue,
        }
    }

    /// Another process on the same store, whose store does not fail and whose wakes get lost.
    pub(crate) fn third_party(&self) -> Lanes {
        let queue = Arc::new(FakeQueue::default());
        let (wakes, _) = Wakes::new(queue, self.memory.clone(), Arc::default());
        Lanes::new(self.memory.clone(), wakes, settings())
    }

    /// A process with all its loops, over this scene's store and queue.
    pub(crate) fn join(&self, name: &str) -> Member {
        self.join_with(name, None)
    }

    /// So too, with a cap on sessions.
    pub(crate) fn join_with(&self, name: &str, sessions_max: Option<u64>) -> Member {
        let settings = MemberSettings {
            presence_ms: PRESENCE_MS,
            sessions_max,
            lanes: settings(),
        };
        Member::join(
            process(name),
            self.store.clone(),
            self.queue.clone(),
            &settings,
        )
    }

    /// Announces a worker once, as if it had just done so itself.
    pub(crate) async fn announce(&self, name: &str) {
        self.memory
            .announce(&process(name), PRESENCE_MS)
            .await
            .unwrap();
    }

    /// From now on the queue loses what it holds when the process ends.
    pub(crate) fn make_queue_volatile(&self) {
        self.queue.is_volatile.store(true, Ordering::SeqCst);
    }

    pub(crate) fn now(&self) -> TimeMs {
        self.memory.now()
    }

    /// The admission of a job that says `text`.
    pub(crate) fn message(&self, session: &str, job: JobId, text: &str) -> LaneChange {
        self.message_with(session, job, text, |_| {})
    }

    /// So too, with changes to what is asked of the lane.
    pub(crate) fn message_with(
        &self,
        session: &str,
        job: JobId,
        text: &str,
        edit: impl FnOnce(&mut Admit),
    ) -> LaneChange {
        let mut admit = Admit {
            job,
            class: Class::Interactive,
            deadline: self.now().plus_ms(DEADLINE_MS),
            tool_results: false,
            if_busy: IfBusy::Enqueue,
            repair: false,
        };
        edit(&mut admit);
        let meta = JobMeta {
            v: Version::FIRST,
            id: job,
            tenant: TenantId::default(),
            session: lane(session).session().cloned(),
            model: "m".into(),
            class: admit.class,
            created_at: self.now(),
            expires_at: admit.deadline,
            metadata: serde_json::Map::new(),
            keep_until: None,
            traceparent: None,
            unknown: UnknownFields::NONE,
        };
        let request = Request {
            input: vec![Turn::text(Role::User, text)],
            ..Request::default()
        };
        let options = AdmitOptions {
            tool_results: admit.tool_results,
            if_busy: admit.if_busy,
        };
        LaneChange::admit(NewJob { meta, request }, options)
    }

    /// Admits a job, and hopes for the best.
    pub(crate) async fn admit(&self, session: &str, text: &str) -> JobId {
        let job = job_of(session);
        let change = self.message(session, job, text);
        self.lanes.apply(change, PATIENCE).await.unwrap();
        job
    }

    /// Claims a job for worker `me`; its fence.
    pub(crate) async fn claim(&self, session: &str, job: JobId) -> u64 {
        claim(&self.lanes, session, job, "me").await.unwrap()
    }

    pub(crate) async fn apply(&self, change: LaneChange) -> Result<Applied, LaneError> {
        self.lanes.apply(change, PATIENCE).await
    }

    /// The jobs of a lane, the head first.
    pub(crate) fn order(&self, session: &str) -> Vec<JobId> {
        let state = self.memory.state();
        let found = state.lanes.get(&lane(session));
        found.map_or_else(Vec::new, |(lane, _)| {
            lane.entries.iter().map(|entry| entry.job).collect()
        })
    }

    /// The entry of a live job.
    pub(crate) fn entry(&self, session: &str, job: JobId) -> Entry {
        let state = self.memory.state();
        let (lane, _) = &state.lanes[&lane(session)];
        lane.find(job).expect("a live job").1.clone()
    }

    /// How a job ended, if it did.
    pub(crate) fn ended_as(&self, job: JobId) -> Option<Status> {
        let state = self.memory.state();
        let (_, outcome) = state.jobs.get(&job)?;
        outcome.as_ref().map(|outcome| outcome.status)
    }

    /// How long from now a job's timer stands; 0 when it is due.
    pub(crate) fn timer_in_ms(&self, job: JobId) -> u64 {
        self.memory.state().timers[&job].1.since_ms(self.now())
    }

    /// Where a job's timer stands.
    pub(crate) fn timer(&self, job: JobId) -> TimeMs {
        self.memory.state().timers[&job].1
    }

    /// How many commits took effect.
    pub(crate) fn made(&self) -> usize {
        self.memory.state().made.len()
    }

    /// What the turns of a session say.
    pub(crate) fn turns(&self, session: &str) -> Vec<String> {
        let state = self.memory.state();
        let session = lane(session).session().cloned().unwrap();
        let conversation = state.sessions.get(&(TenantId::default(), session));
        conversation.map_or_else(Vec::new, |conversation| texts(&conversation.turns))
    }
}

/// What turns say.
pub(crate) fn texts(turns: &[Turn]) -> Vec<String> {
    let text = |turn: &Turn| turn.content.as_ref().map(Content::to_text);
    turns.iter().filter_map(text).collect()
}

/// Claims a job for a worker through these lanes; the fence.
pub(crate) async fn claim(
    lanes: &Lanes,
    session: &str,
    job: JobId,
    worker: &str,
) -> Result<u64, LaneError> {
    let change = claim_change(session, job, worker);
    match lanes.apply(change, PATIENCE).await? {
        Applied::Claimed { fence, .. } => Ok(fence),
        other => panic!("not a claim: {other:?}"),
    }
}

pub(crate) fn claim_change(session: &str, job: JobId, worker: &str) -> LaneChange {
    LaneChange::claim(lane(session), job, process(worker), LIMIT_MS)
}

/// The end of an attempt with a reply of this text, which is all that goes into the session.
pub(crate) fn finish(session: &str, job: JobId, fence: u64, text: &str) -> LaneChange {
    let reply = Reply {
        text: Some(text.to_owned()),
        tool_calls: Vec::new(),
        finish_reason: FinishReason::Stop,
        usage: None,
        turns_sent: 1,
        turns_dropped: 0,
        unknown: UnknownFields::NONE,
    };
    let output = AttemptOutput {
        reply,
        provider: String::from("provider"),
        turns: vec![Turn::text(Role::Assistant, text)],
        measure: None,
    };
    LaneChange::complete(claim_key(session, job, fence), None, Arc::new(output))
}

/// The failure of an attempt, to be tried again at `not_before`.
pub(crate) fn retry(session: &str, job: JobId, fence: u64, not_before: TimeMs) -> LaneChange {
    let error = JobError::new("rate_limited", "as the test says");
    let options = RetryOptions {
        not_before,
        tries_max: 5,
        error,
        provider: None,
    };
    LaneChange::retry(claim_key(session, job, fence), options)
}

/// The claim of a job with this fence.
pub(crate) fn claim_key(session: &str, job: JobId, fence: u64) -> ClaimKey {
    ClaimKey {
        lane: lane(session),
        job,
        fence,
    }
}
