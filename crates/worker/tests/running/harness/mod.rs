//! One member with one worker. The provider gets each reply from the test.

mod provider;
mod submit;
mod wait;

use std::{sync::Arc, time::Duration};

use forebay_engine::embedded::Embedded;
use forebay_metrics::Metrics;
use forebay_runtime::{
    lanes::{AdmitOptions, LaneChange, LaneSettings},
    member::{Member, MemberSettings},
    memory::MemoryShares,
};
use forebay_shared::{
    account::{AccountKey, ConfiguredLimits},
    class::Class,
    document::{DocumentVersion, UnknownFields},
    ids::{JobId, LaneKey, ProcessId, SessionId, TenantId},
    job::{JobMeta, Outcome},
    lane::Entry,
    queue::Queue,
    session::SessionBounds,
    store::{JobState, NewJob, Store, Topic},
    turn::Role,
    wake::Wake,
};
use forebay_worker::{ProviderLookup, WorkerSettings};
use tokio::{
    sync::{Mutex, mpsc},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use faulty_store::{Fault, FaultyStore, StoreCall};
pub(crate) use provider::PendingCall;
use provider::{ScriptedProvider, ScriptedProviders, text_of};
pub(crate) use submit::Submit;
pub(crate) use wait::{wait_for, wait_until};

/// The timeout of a change that a test makes to a lane.
const APPLY_TIMEOUT: Duration = Duration::from_secs(10);
/// The age at which the member's presence is too old, in milliseconds.
pub(crate) const PRESENCE_TTL_MS: u64 = 600;

/// Settings with short retry delays. No test reaches the other time limits.
pub(crate) fn settings(concurrency: usize) -> WorkerSettings {
    WorkerSettings {
        concurrency,
        results_waits_max: 10,
        tries_max: 3,
        call_timeout_ms: 60_000,
        // Longer than the timeout of `stop_worker`.
        drain_ms: 600_000,
        backoff_base_ms: 2,
        backoff_max_ms: 4,
        drops_wakes: false,
        loses_wakes: false,
    }
}

/// Joins a member whose limits no test reaches.
fn join(name: &str, store: &Arc<FaultyStore>, queue: Arc<dyn Queue>) -> Arc<Member> {
    let lanes = LaneSettings {
        session: SessionBounds {
            ttl_ms: 3_600_000,
            turns_max: 100,
            turns_bytes_max: 1 << 20,
        },
        result_ttl_ms: 3_600_000,
    };
    let settings = MemberSettings {
        presence_ttl_ms: PRESENCE_TTL_MS,
        sessions_max: None,
        memory: MemoryShares::default(),
        lanes,
        metrics: Metrics::default(),
    };
    let store = Arc::clone(store) as Arc<dyn Store>;
    Arc::new(Member::join(
        ProcessId::fresh(name),
        store,
        queue,
        &settings,
    ))
}

/// A fleet of one member, with its worker.
pub(crate) struct Fleet {
    pub(crate) member: Arc<Member>,
    pub(crate) store: Arc<FaultyStore>,
    pub(crate) stop: CancellationToken,
    calls: Mutex<mpsc::UnboundedReceiver<PendingCall>>,
    worker: Option<JoinHandle<()>>,
    /// Another member, with its worker.
    other: Option<(Arc<Member>, AbortOnDropHandle<()>)>,
    providers: Arc<dyn ProviderLookup>,
    settings: WorkerSettings,
    _engine: Embedded,
    _folder: tempfile::TempDir,
}

impl Fleet {
    /// A member whose worker is not started yet.
    pub(crate) fn without_worker(settings: WorkerSettings) -> Self {
        Self::with_limits(settings, [])
    }

    /// A member whose worker is not started yet. Its configuration limits these accounts.
    pub(crate) fn with_limits<const N: usize>(
        settings: WorkerSettings,
        limits: [(AccountKey, ConfiguredLimits); N],
    ) -> Self {
        let folder = tempfile::tempdir().expect("the folder is created");
        let engine = Embedded::open(folder.path()).expect("the engine opens");
        let store = Arc::new(FaultyStore::new(engine.store()));
        let member = join("test", &store, engine.queue());
        let (sender, calls) = mpsc::unbounded_channel();
        Self {
            member,
            store,
            stop: CancellationToken::new(),
            calls: Mutex::new(calls),
            worker: None,
            providers: Arc::new(ScriptedProviders {
                provider: Arc::new(ScriptedProvider(sender)),
                limits: limits.into(),
            }),
            other: None,
            settings,
            _engine: engine,
            _folder: folder,
        }
    }

    /// A member whose worker runs.
    pub(crate) fn start(settings: WorkerSettings) -> Self {
        let mut fleet = Self::without_worker(settings);
        fleet.start_worker();
        fleet
    }

    /// A member whose worker runs and calls these providers.
    pub(crate) fn with_providers(
        settings: WorkerSettings,
        providers: Arc<dyn ProviderLookup>,
    ) -> Self {
        let mut fleet = Self::without_worker(settings);
        fleet.providers = providers;
        fleet.start_worker();
        fleet
    }

    /// Prevents the election of the sweeper, so that each job has exactly one wake. Call this before the first `await`.
    ///
    /// A sweeper may publish a second wake of a ready job: when it is elected, and when the machine is so slow that timers
    /// become due.
    pub(crate) fn prevent_sweeper_election(&self) {
        let never = Fault::After(Box::pin(std::future::pending()));
        self.store.plan(StoreCall::ElectSweeper, [never]);
    }

    /// Starts the worker.
    pub(crate) fn start_worker(&mut self) {
        let run = forebay_worker::run(
            Arc::clone(&self.member),
            Arc::clone(&self.providers),
            self.settings,
            self.stop.clone(),
        );
        self.worker = Some(tokio::spawn(run));
    }

    /// Starts the worker of another member.
    pub(crate) fn start_another_worker(&mut self) {
        let member = join("other", &self.store, Arc::clone(&self.member.queue));
        let run = forebay_worker::run(
            Arc::clone(&member),
            Arc::clone(&self.providers),
            self.settings,
            self.stop.clone(),
        );
        self.other = Some((member, AbortOnDropHandle::new(tokio::spawn(run))));
    }

    /// All members.
    pub(crate) fn members(&self) -> Vec<&Member> {
        let other = self.other.iter().map(|(member, _)| &**member);
        std::iter::once(&*self.member).chain(other).collect()
    }

    /// Starts a worker again after [`stop_worker`](Self::stop_worker).
    pub(crate) fn restart_worker(&mut self) {
        self.stop = CancellationToken::new();
        self.start_worker();
    }

    /// Takes wakes from the queue and drops them, up to the wake of this interactive job. No worker may run. An earlier job may
    /// have a second wake, because the sweeper wakes the ready heads when it begins.
    pub(crate) async fn lose_wake(&self, job: JobId) {
        let consumer = self.queue().consume(Class::Interactive, 1).await;
        let mut consumer = consumer.expect("the queue can be consumed");
        loop {
            let delivery = wait_for("a wake arrives", consumer.next()).await;
            let delivery = delivery.expect("the queue is open");
            let woken = delivery.wake.job;
            delivery.ack();
            if woken == job {
                return;
            }
        }
    }

    /// Stops the worker, and waits until it has drained.
    pub(crate) async fn stop_worker(&mut self) {
        self.stop.cancel();
        let worker = self.worker.take().expect("a worker runs");
        wait_for("the worker drains", worker)
            .await
            .expect("the worker does not panic");
    }

    pub(crate) fn queue(&self) -> &dyn Queue {
        &*self.member.queue
    }

    /// Submits a job, as a gateway does.
    pub(crate) async fn submit(&self, submit: Submit) -> JobId {
        let tenant = TenantId::default();
        let id = JobId::fresh(&tenant, submit.session.as_ref());
        let now = self.member.store.now();
        let is_tool_results = submit
            .request
            .input
            .iter()
            .all(|turn| turn.role == Role::Tool);
        let job = NewJob {
            meta: JobMeta {
                v: DocumentVersion::FIRST,
                id,
                tenant,
                session: submit.session,
                model: submit.model,
                class: submit.class,
                created_at: now,
                expires_at: now.plus_ms(submit.expires_in_ms),
                retried_at: None,
                is_tool_results: false,
                metadata: serde_json::Map::new(),
                keep_until: None,
                replaces: None,
                traceparent: None,
                unknown: UnknownFields::NONE,
            },
            request: submit.request,
        };
        let options = AdmitOptions {
            is_tool_results,
            if_busy: submit.if_busy,
        };
        self.member
            .lanes
            .apply(LaneChange::admit(job, options), APPLY_TIMEOUT)
            .await
            .expect("the job is accepted");
        id
    }

    /// Waits for the next call to the provider.
    pub(crate) async fn next_call(&self) -> PendingCall {
        wait_for("the provider is called", async {
            self.calls.lock().await.recv().await
        })
        .await
        .expect("the provider is not dropped")
    }

    /// A call that the provider has already received, if there is one.
    pub(crate) async fn call_already_made(&self) -> Option<PendingCall> {
        self.calls.lock().await.try_recv().ok()
    }

    /// Waits until a job has ended, and returns its outcome.
    pub(crate) async fn outcome(&self, job: JobId) -> Outcome {
        let wait = async {
            let mut notices = self
                .member
                .store
                .watch(Topic::Job(job))
                .await
                .expect("the store starts a stream of notices");
            loop {
                if let JobState::Ended(outcome) = self.state(job).await {
                    return outcome;
                }
                let _ = timeout(Duration::from_secs(1), notices.next()).await;
            }
        };
        wait_for("the job ends", wait).await
    }

    pub(crate) async fn state(&self, job: JobId) -> JobState {
        let record = self.member.store.job(&TenantId::default(), job).await;
        record
            .expect("the store answers")
            .expect("the job exists")
            .state
    }

    /// The lane entry of a live job.
    pub(crate) async fn entry(&self, job: JobId) -> Entry {
        match self.state(job).await {
            JobState::Live(live) => live.entry,
            JobState::Ended(outcome) => panic!("the job has ended: {:?}", outcome.status),
        }
    }

    pub(crate) async fn cancel(&self, job: JobId, session: Option<&SessionId>) {
        let lane = LaneKey::of(&TenantId::default(), session, job);
        self.member
            .lanes
            .apply(LaneChange::cancel(lane, job), APPLY_TIMEOUT)
            .await
            .expect("the cancel is accepted");
    }

    /// The member's metrics, in the text format.
    pub(crate) fn metrics(&self) -> String {
        let text = self.member.metrics.encode(forebay_metrics::Format::Text);
        text.expect("the text is written")
    }

    /// Waits until a series has this value. A test may see the commit of an attempt before the attempt is counted.
    pub(crate) async fn wait_for_count(&self, series: &str, value: u64) {
        let line = format!("{series} {value}");
        wait_until(&line, async || {
            self.metrics().lines().any(|other| other == line)
        })
        .await;
    }

    /// Publishes a further wake for a job without a session.
    pub(crate) async fn wake(&self, job: JobId) {
        let now = self.member.store.now();
        let wake = Wake {
            v: Wake::VERSION,
            job,
            tenant: TenantId::default(),
            session: None,
            class: Class::Interactive,
            model: None,
            admitted_at: now,
            sent_at: now,
            permit: None,
            lane_copy: None,
            traceparent: None,
        };
        self.queue()
            .publish(&wake)
            .await
            .expect("the queue takes the wake");
    }

    /// The turns of a session, as roles and texts.
    pub(crate) async fn session_turns(&self, name: &str) -> Vec<(Role, String)> {
        let id = SessionId::parse(name).expect("the session id is valid");
        let session = self
            .member
            .store
            .session(&TenantId::default(), &id, 3_600_000)
            .await;
        let turns = session
            .expect("the store answers")
            .map(|session| session.turns)
            .unwrap_or_default();
        turns
            .iter()
            .map(|turn| (turn.role.clone(), text_of(turn)))
            .collect()
    }
}
