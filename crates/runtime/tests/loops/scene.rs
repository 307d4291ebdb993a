//! The scene of a test: a process, and its store and queue, which a test can make fail. Also functions that build changes
//! of lanes.

use faulty_store::FaultyStore;
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use forebay_metrics::{Metrics, lanes::LaneMetrics};
use forebay_runtime::{
    byte_budget::ByteBudget,
    gauge::Gauge,
    lanes::{
        AdmitOptions, Applied, AttemptOutput, ClaimKey, LaneChange, LaneError, LaneSettings, Lanes,
        RetryOptions,
    },
    member::{Member, MemberSettings},
    memory::MemoryShares,
    wakes::Wakes,
};
use forebay_shared::{
    account::{AccountEvent, ConfiguredBy, ConfiguredLimits},
    class::Class,
    document::{DocumentVersion, UnknownFields},
    ids::{JobId, LaneKey, ProcessId, SessionId, TenantId},
    job::{FinishReason, JobError, JobMeta, Reply, Request, Status},
    lane::{Admit, Entry, IfBusy},
    session::SessionBounds,
    store::{INLINE_BYTES_MAX, NewJob, Store as _},
    time::TimeMs,
    turn::{Content, Role, Turn},
};
use tokio::task::JoinHandle;

use crate::{queue::FakeQueue, store::MemoryStore};

/// The time from a job's admission to its deadline, in milliseconds, unless a test sets another.
pub(crate) const DEADLINE_MS: u64 = 3_600_000;
/// The time limit of a claim, in milliseconds.
pub(crate) const CLAIM_LIMIT_MS: u64 = 600_000;
/// The age at which the presence of a process is too old, in milliseconds.
pub(crate) const PRESENCE_TTL_MS: u64 = 3_000;
/// Timers are parked within this time after their wakes are confirmed, in milliseconds.
pub(crate) const PARK_MS: u64 = 1_001;
/// The timeout of a change, unless a test sets another.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

/// A process, its store and its queue.
pub(crate) struct Scene {
    /// The working store behind `store`.
    pub(crate) inner_store: Arc<MemoryStore>,
    /// The store that the process uses. A test can make it fail.
    pub(crate) store: Arc<FaultyStore>,
    pub(crate) queue: Arc<FakeQueue>,
    pub(crate) lanes: Lanes,
    /// What `lanes` has counted.
    pub(crate) lane_metrics: LaneMetrics,
    pub(crate) wakes: Wakes,
    pub(crate) wakes_loop: JoinHandle<()>,
    /// The memory for the inputs that commits read.
    pub(crate) reads: ByteBudget,
}

/// Limits that most tests do not reach.
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

/// Lets the other tasks run for one millisecond of the clock.
pub(crate) async fn let_tasks_run() {
    pass_ms(1).await;
}

/// Lets time pass on the clock.
pub(crate) async fn pass_ms(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

/// The id of a process.
pub(crate) fn process(name: &str) -> ProcessId {
    ProcessId::parse(name).unwrap()
}

/// Limits that the process `other` sets.
pub(crate) fn configured_by_other(limits: ConfiguredLimits) -> AccountEvent {
    let by = ConfiguredBy {
        started_at: TimeMs(0),
        process: process("other"),
    };
    AccountEvent::Configured { limits, by }
}

/// The lane of a session.
pub(crate) fn lane(session: &str) -> LaneKey {
    LaneKey::Session {
        tenant: TenantId::default(),
        session: SessionId::parse(session).unwrap(),
    }
}

/// A new id for a job of a session.
pub(crate) fn new_job_id(session: &str) -> JobId {
    JobId::fresh(&TenantId::default(), lane(session).session())
}

/// The memory for the inputs that commits read.
fn reads() -> ByteBudget {
    MemoryShares::default().reads
}

impl Scene {
    pub(crate) fn new() -> Self {
        let inner_store = Arc::new(MemoryStore::new());
        let store = Arc::new(FaultyStore::new(inner_store.clone()));
        let queue = Arc::new(FakeQueue::default());
        let (wakes, publisher) =
            Wakes::new(queue.clone(), store.clone(), Arc::new(Gauge::default()));
        let reads = reads();
        let lane_metrics = LaneMetrics::default();
        Self {
            lanes: Lanes::new(
                store.clone(),
                wakes.clone(),
                settings(),
                reads.clone(),
                lane_metrics.clone(),
            ),
            lane_metrics,
            reads,
            wakes_loop: tokio::spawn(publisher.run()),
            wakes,
            inner_store,
            store,
            queue,
        }
    }

    /// The lanes of another process over the same store. The store never fails for that process. Its wakes are lost.
    pub(crate) fn other_process(&self) -> Lanes {
        let queue = Arc::new(FakeQueue::default());
        let (wakes, _) = Wakes::new(queue, self.inner_store.clone(), Arc::default());
        let metrics = LaneMetrics::default();
        Lanes::new(
            self.inner_store.clone(),
            wakes,
            settings(),
            reads(),
            metrics,
        )
    }

    /// A process with all loops, over this scene's store and queue.
    pub(crate) fn join(&self, name: &str) -> Member {
        self.join_with(name, None)
    }

    /// Like [`join`](Self::join), with a limit on the number of sessions.
    pub(crate) fn join_with(&self, name: &str, sessions_max: Option<u64>) -> Member {
        let settings = MemberSettings {
            presence_ttl_ms: PRESENCE_TTL_MS,
            sessions_max,
            memory: MemoryShares::default(),
            lanes: settings(),
            metrics: Metrics::default(),
        };
        Member::join(
            process(name),
            self.store.clone(),
            self.queue.clone(),
            &settings,
        )
    }

    /// Renews the presence of a worker once, as the worker would.
    pub(crate) async fn renew_presence_of(&self, name: &str) {
        self.inner_store
            .renew_presence(&process(name), PRESENCE_TTL_MS)
            .await
            .unwrap();
    }

    /// From now on the queue loses its messages when the process ends.
    pub(crate) fn make_queue_volatile(&self) {
        self.queue.is_volatile.store(true, Ordering::SeqCst);
    }

    pub(crate) fn now(&self) -> TimeMs {
        self.inner_store.now()
    }

    /// The admission of a job whose input is `text`.
    pub(crate) fn admission(&self, session: &str, job: JobId, text: &str) -> LaneChange {
        self.admission_with(session, job, text, |_| {})
    }

    /// Like [`admission`](Self::admission), with changes to the admission.
    pub(crate) fn admission_with(
        &self,
        session: &str,
        job: JobId,
        text: &str,
        edit: impl FnOnce(&mut Admit),
    ) -> LaneChange {
        let mut admit = Admit {
            job,
            class: Class::Interactive,
            model: Some("m".into()),
            deadline: self.now().plus_ms(DEADLINE_MS),
            is_tool_results: false,
            if_busy: IfBusy::Enqueue,
            is_repair: false,
        };
        edit(&mut admit);
        let meta = JobMeta {
            v: DocumentVersion::FIRST,
            id: job,
            tenant: TenantId::default(),
            session: lane(session).session().cloned(),
            model: "m".into(),
            class: admit.class,
            created_at: self.now(),
            expires_at: admit.deadline,
            retried_at: None,
            is_tool_results: false,
            metadata: serde_json::Map::new(),
            keep_until: None,
            replaces: None,
            traceparent: None,
            unknown: UnknownFields::NONE,
        };
        let request = Request {
            input: vec![Turn::text(Role::User, text)],
            ..Request::default()
        };
        let options = AdmitOptions {
            is_tool_results: admit.is_tool_results,
            if_busy: admit.if_busy,
        };
        LaneChange::admit(NewJob { meta, request }, options)
    }

    /// Admits a job, which must succeed.
    pub(crate) async fn admit(&self, session: &str, text: &str) -> JobId {
        let job = new_job_id(session);
        let change = self.admission(session, job, text);
        self.lanes.apply(change, TIMEOUT).await.unwrap();
        job
    }

    /// Admits a job, as if the process had died before it requested the wake.
    pub(crate) async fn admit_without_wake(&self, session: &str) -> JobId {
        let job = new_job_id(session);
        let change = self.admission(session, job, "hello");
        self.other_process().apply(change, TIMEOUT).await.unwrap();
        job
    }

    /// Claims a job for worker `me` and returns the fence.
    pub(crate) async fn claim(&self, session: &str, job: JobId) -> u64 {
        claim(&self.lanes, session, job, "me").await.unwrap()
    }

    pub(crate) async fn apply(&self, change: LaneChange) -> Result<Applied, LaneError> {
        self.lanes.apply(change, TIMEOUT).await
    }

    /// The live jobs of a session, the head first.
    pub(crate) fn jobs_in_order(&self, session: &str) -> Vec<JobId> {
        let state = self.inner_store.state();
        let found = state.lanes.get(&lane(session));
        found.map_or_else(Vec::new, |(lane, _)| {
            lane.entries.iter().map(|entry| entry.job).collect()
        })
    }

    /// The entry of a live job.
    pub(crate) fn entry(&self, session: &str, job: JobId) -> Entry {
        let state = self.inner_store.state();
        let (lane, _) = &state.lanes[&lane(session)];
        lane.find(job).expect("the job is live").1.clone()
    }

    /// How a job ended. `None` if it has not ended.
    pub(crate) fn ended_as(&self, job: JobId) -> Option<Status> {
        let state = self.inner_store.state();
        let (_, outcome) = state.jobs.get(&job)?;
        outcome.as_ref().map(|outcome| outcome.status)
    }

    /// The time until a job's timer is due; 0 if it is due.
    pub(crate) fn timer_in_ms(&self, job: JobId) -> u64 {
        self.inner_store.state().timers[&job].1.since_ms(self.now())
    }

    /// When a job's timer is due.
    pub(crate) fn timer(&self, job: JobId) -> TimeMs {
        self.inner_store.state().timers[&job].1
    }

    /// How many commits the store has made.
    pub(crate) fn commits_made(&self) -> usize {
        self.inner_store.state().commits.len()
    }

    /// The texts of a session's turns.
    pub(crate) fn turns(&self, session: &str) -> Vec<String> {
        let state = self.inner_store.state();
        let session = lane(session).session().cloned().unwrap();
        let conversation = state.sessions.get(&(TenantId::default(), session));
        conversation.map_or_else(Vec::new, |conversation| texts(&conversation.turns))
    }
}

/// The texts of turns.
pub(crate) fn texts(turns: &[Turn]) -> Vec<String> {
    let text = |turn: &Turn| turn.content.as_ref().map(Content::to_text);
    turns.iter().filter_map(text).collect()
}

/// Claims a job for a worker through `lanes` and returns the fence.
pub(crate) async fn claim(
    lanes: &Lanes,
    session: &str,
    job: JobId,
    worker: &str,
) -> Result<u64, LaneError> {
    let change = claim_change(session, job, worker);
    match lanes.apply(change, TIMEOUT).await? {
        Applied::Claimed { fence, .. } => Ok(fence),
        other => panic!("the claim returned {other:?}"),
    }
}

pub(crate) fn claim_change(session: &str, job: JobId, worker: &str) -> LaneChange {
    LaneChange::claim(
        lane(session),
        job,
        process(worker),
        CLAIM_LIMIT_MS,
        INLINE_BYTES_MAX,
    )
}

/// Completes a job with a reply whose text is `text`. Only the reply is appended to the session.
pub(crate) fn finish(session: &str, job: JobId, fence: u64, text: &str) -> LaneChange {
    finish_and_replace(session, job, fence, text, None)
}

/// The end of an attempt whose reply replaces the turns from a number on.
pub(crate) fn finish_and_replace(
    session: &str,
    job: JobId,
    fence: u64,
    text: &str,
    replace_from_turn: Option<u64>,
) -> LaneChange {
    let reply = Reply {
        text: Some(text.to_owned()),
        reasoning: None,
        tool_calls: Vec::new(),
        finish_reason: FinishReason::Stop,
        usage: None,
        turns_sent: 1,
        turns_dropped: 0,
        unknown: UnknownFields::NONE,
    };
    let output = AttemptOutput {
        reply,
        provider: Some(String::from("provider")),
        replace_from_turn,
        turns: vec![Turn::text(Role::Assistant, text)],
        token_measure: None,
    };
    LaneChange::complete(claim_key(session, job, fence), None, Arc::new(output))
}

/// The end of an attempt that failed. The next attempt may begin at `not_before`.
pub(crate) fn retry(session: &str, job: JobId, fence: u64, not_before: TimeMs) -> LaneChange {
    let error = JobError::new("rate_limited", "planned by the test");
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
