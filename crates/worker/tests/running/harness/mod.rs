//! A fleet of one member with one worker, whose provider asks the test for each reply.

mod provider;
mod submit;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use forebay_engine::embedded::Embedded;
use forebay_runtime::{
    lanes::{LaneChange, LaneSettings},
    member::{Member, MemberSettings},
};
use forebay_shared::{
    class::Class,
    document::{UnknownFields, Version},
    ids::{JobId, LaneKey, ProcessId, SessionId, TenantId},
    job::{JobMeta, Outcome},
    lane::{Admit, Entry, IfBusy},
    queue::Queue,
    session::SessionBounds,
    store::{JobState, NewJob, Store, Topic},
    turn::Role,
    wake::Wake,
};
use forebay_worker::{Providers, WorkerSettings};
use tokio::{
    sync::{Mutex, mpsc},
    task::JoinHandle,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::store::Fickle;
pub(crate) use provider::Asked;
use provider::{OnlyScripted, Scripted, text_of};
pub(crate) use submit::Submit;

/// Longer than anything here takes, so that a test that waits in vain fails.
pub(crate) const AT_MOST: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(10);
pub(crate) const PRESENCE_MS: u64 = 600;

/// Waits for something that must happen soon.
pub(crate) async fn soon<T>(what: &str, happens: impl Future<Output = T>) -> T {
    timeout(AT_MOST, happens)
        .await
        .unwrap_or_else(|_| panic!("it did not happen: {what}"))
}

/// Looks again and again until something is so that nothing announces.
pub(crate) async fn eventually(what: &str, is_so: impl AsyncFn() -> bool) {
    soon(what, async {
        while !is_so().await {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// Settings with short pauses.
pub(crate) fn settings(concurrency: usize) -> WorkerSettings {
    WorkerSettings {
        concurrency,
        tries_max: 3,
        call_timeout_ms: 60_000,
        drain_ms: 10_000,
        backoff_base_ms: 2,
        backoff_max_ms: 4,
    }
}

/// A member with a worker.
pub(crate) struct Fleet {
    pub(crate) member: Arc<Member>,
    pub(crate) fickle: Arc<Fickle>,
    pub(crate) stop: CancellationToken,
    calls: Mutex<mpsc::UnboundedReceiver<Asked>>,
    worker: Option<JoinHandle<()>>,
    providers: Arc<OnlyScripted>,
    settings: WorkerSettings,
    _engine: Embedded,
    _folder: tempfile::TempDir,
}

impl Fleet {
    /// A member whose worker does not run yet.
    pub(crate) fn idle(settings: WorkerSettings) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let engine = Embedded::open(folder.path()).expect("an engine");
        let fickle = Arc::new(Fickle::new(engine.store()));
        let lanes = LaneSettings {
            session: SessionBounds {
                ttl_ms: 3_600_000,
                turns_max: 100,
                turns_bytes_max: 1 << 20,
            },
            result_ttl_ms: 3_600_000,
        };
        let member = Member::join(
            ProcessId::fresh("test"),
            Arc::clone(&fickle) as Arc<dyn Store>,
            engine.queue(),
            &MemberSettings {
                presence_ms: PRESENCE_MS,
                sessions_max: None,
                lanes,
            },
        );
        let (sender, calls) = mpsc::unbounded_channel();
        Self {
            member: Arc::new(member),
            fickle,
            stop: CancellationToken::new(),
            calls: Mutex::new(calls),
            worker: None,
            providers: Arc::new(OnlyScripted(Arc::new(Scripted(sender)))),
            settings,
            _engine: engine,
            _folder: folder,
        }
    }

    pub(crate) fn start(settings: WorkerSettings) -> Self {
        let mut fleet = Self::idle(settings);
        fleet.begin();
        fleet
    }

    /// Starts the worker.
    pub(crate) fn begin(&mut self) {
        let run = forebay_worker::run(
            Arc::clone(&self.member),
            Arc::clone(&self.providers) as Arc<dyn Providers>,
            self.settings,
            self.stop.clone(),
        );
        self.worker = Some(tokio::spawn(run));
    }

    /// Tells the worker to stop and waits until it has ended.
    pub(crate) async fn drained(&mut self) {
        self.stop.cancel();
        let worker = self.worker.take().expect("a worker runs");
        soon("the worker drains", worker)
            .await
            .expect("the worker ends well");
    }

    pub(crate) fn queue(&self) -> &dyn Queue {
        &*self.member.queue
    }

    /// A gateway accepts a job.
    pub(crate) async fn submit(&self, submit: Submit) -> JobId {
        let tenant = TenantId::default();
        let id = JobId::fresh(&tenant, submit.session.as_ref());
        let now = self.member.store.now();
        let tool_results = submit
            .request
            .input
            .iter()
            .all(|turn| turn.role == Role::Tool);
        let job = NewJob {
            meta: JobMeta {
                v: Version::FIRST,
                id,
                tenant,
                session: submit.session,
                model: submit.model,
                class: submit.class,
                created_at: now,
                expires_at: now.plus_ms(submit.expires_in_ms),
                metadata: serde_json::Map::new(),
                keep_until: None,
                traceparent: None,
                unknown: UnknownFields::NONE,
            },
            request: Arc::new(submit.request),
        };
        let admit = Admit {
            job: id,
            class: job.meta.class,
            deadline: job.meta.expires_at,
            tool_results,
            if_busy: IfBusy::Enqueue,
            repair: false,
        };
        self.member
            .lanes
            .apply(LaneChange::admit(job, admit), PATIENCE)
            .await
            .expect("the job is accepted");
        id
    }

    /// The next call of the provider.
    pub(crate) async fn asked(&self) -> Asked {
        soon("the provider is asked", async {
            self.calls.lock().await.recv().await
        })
        .await
        .expect("a provider lives")
    }

    /// A call that has come already, if there is one.
    pub(crate) async fn asked_already(&self) -> Option<Asked> {
        self.calls.lock().await.try_recv().ok()
    }

    /// How a job ends.
    pub(crate) async fn ended(&self, job: JobId) -> Outcome {
        let wait = async {
            let mut notices = self
                .member
                .store
                .watch(Topic::Job(job))
                .await
                .expect("notices");
            loop {
                if let JobState::Ended(outcome) = self.state(job).await {
                    return outcome;
                }
                let _ = timeout(Duration::from_secs(1), notices.next()).await;
            }
        };
        soon("the job ends", wait).await
    }

    pub(crate) async fn state(&self, job: JobId) -> JobState {
        let record = self.member.store.job(&TenantId::default(), job).await;
        record.expect("a store").expect("a job").state
    }

    /// The lane entry of a live job.
    pub(crate) async fn live(&self, job: JobId) -> Entry {
        match self.state(job).await {
            JobState::Live(entry) => entry,
            JobState::Ended(outcome) => panic!("the job has ended: {:?}", outcome.status),
        }
    }

    pub(crate) async fn cancel(&self, job: JobId, session: Option<&SessionId>) {
        let lane = LaneKey::of(&TenantId::default(), session, job);
        self.member
            .lanes
            .apply(LaneChange::cancel(lane, job), PATIENCE)
            .await
            .expect("a cancel");
    }

    /// Publishes a wake for a job without a session, as a repeat or by mistake.
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
            traceparent: None,
        };
        self.queue().publish(&wake).await.expect("a wake is taken");
    }

    /// What the session holds, as roles and texts.
    pub(crate) async fn session(&self, name: &str) -> Vec<(Role, String)> {
        let id = SessionId::parse(name).expect("a session id");
        let session = self
            .member
            .store
            .session(&TenantId::default(), &id, 3_600_000)
            .await;
        let turns = session
            .expect("a store")
            .map(|session| session.turns)
            .unwrap_or_default();
        turns
            .iter()
            .map(|turn| (turn.role.clone(), text_of(turn)))
            .collect()
    }

    /// How many calls of the store had been refused or answered wrongly when the test looked.
    pub(crate) fn faults(&self) -> usize {
        self.fickle.faults.load(Ordering::SeqCst)
    }
}
