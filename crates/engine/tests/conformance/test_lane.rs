//! A lane for tests. It changes as in a gateway or a worker: load the lane, apply an event, commit the result.

use std::sync::Arc;

use forebay_shared::{
    account::AccountKey,
    class::Class,
    document::{DocumentVersion, UnknownFields},
    ids::{JobId, LaneKey, ProcessId, SessionId, TenantId},
    job::{FinishReason, JobError, JobMeta, Reply, Request},
    lane::{self, Admit, ClaimResult, Effects, Event, IfBusy, Lane, LaneCounts, Refused},
    session::{Session, SessionBounds, TokenMeasure},
    store::{
        Commit, CommitResult, DeferredChange, EndedJob, LaneVersion, LoadedLane, NewJob,
        RepairedJob, SessionWrite, Store,
    },
    time::TimeMs,
    turn::{Content, Role, Turn},
};

/// One hour, which is longer than any test.
pub(crate) const LONG_MS: u64 = 3_600_000;

/// A lane in a store, and the settings of its commits.
#[derive(Clone)]
pub(crate) struct TestLane {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) tenant: TenantId,
    pub(crate) session: Option<SessionId>,
    /// The only job of the lane, if the lane has no session.
    only_job: JobId,
    pub(crate) class: Class,
    /// The model of new jobs and of repaired ones.
    pub(crate) model: &'static str,
    pub(crate) bounds: SessionBounds,
    /// How long the record of an ended job is kept.
    pub(crate) keep_ms: u64,
    /// The record of a job is kept at least until this time.
    pub(crate) keep_until: Option<TimeMs>,
    pub(crate) token_measure: Option<TokenMeasure>,
    /// The number of the first turn that each commit replaces; `None` to replace none.
    pub(crate) replace_from_turn: Option<u64>,
}

/// User turns with these texts.
pub(crate) fn turns(texts: &[&str]) -> Vec<Turn> {
    let turn = |text: &&str| Turn::text(Role::User, *text);
    texts.iter().map(turn).collect()
}

/// The texts of turns.
pub(crate) fn texts(turns: &[Turn]) -> Vec<String> {
    let text = |turn: &Turn| turn.content.as_ref().map(Content::to_text);
    turns.iter().filter_map(text).collect()
}

/// The id of a process with this name.
pub(crate) fn worker(name: &str) -> ProcessId {
    ProcessId::parse(name).unwrap()
}

/// A request whose input contains the job's id.
pub(crate) fn request(job: JobId) -> Request {
    Request {
        input: turns(&[&format!("input of {job}")]),
        tool_wait_s: 60,
        ..Request::default()
    }
}

impl TestLane {
    /// The lane of a session of the default tenant.
    pub(crate) fn session(store: &Arc<dyn Store>, session: &str) -> Self {
        Self::of_tenant(store, TenantId::default(), Some(session))
    }

    /// The lane of a job without a session.
    pub(crate) fn without_session(store: &Arc<dyn Store>) -> Self {
        Self::of_tenant(store, TenantId::default(), None)
    }

    /// The lane of a session of this tenant. Without a session, the lane of a new job of this tenant.
    pub(crate) fn of_tenant(
        store: &Arc<dyn Store>,
        tenant: TenantId,
        session: Option<&str>,
    ) -> Self {
        let session = session.map(|session| SessionId::parse(session).unwrap());
        let only_job = JobId::fresh(&tenant, session.as_ref());
        Self {
            store: Arc::clone(store),
            tenant,
            session,
            only_job,
            class: Class::Interactive,
            model: "simulated",
            bounds: SessionBounds {
                ttl_ms: LONG_MS,
                turns_max: 200,
                turns_bytes_max: 1_000_000,
            },
            keep_ms: LONG_MS,
            keep_until: None,
            token_measure: None,
            replace_from_turn: None,
        }
    }

    /// The lane's key.
    pub(crate) fn key(&self) -> LaneKey {
        LaneKey::of(&self.tenant, self.session.as_ref(), self.only_job)
    }

    /// The id of a new job. A lane without a session always has the same job.
    pub(crate) fn new_job_id(&self) -> JobId {
        match &self.session {
            Some(session) => JobId::fresh(&self.tenant, Some(session)),
            None => self.only_job,
        }
    }

    /// The admission of a job.
    pub(crate) fn admission(&self, job: JobId) -> Admit {
        Admit {
            job,
            class: self.class,
            model: Some(self.model.to_owned()),
            deadline: self.store.now().plus_ms(LONG_MS),
            is_tool_results: false,
            if_busy: IfBusy::Enqueue,
            is_repair: false,
        }
    }

    /// Loads the lane, with the outcomes of these jobs.
    pub(crate) async fn load(&self, outcomes_of: &[JobId]) -> LoadedLane {
        self.store
            .load(&self.key(), outcomes_of, None)
            .await
            .unwrap()
    }

    /// Reads the session.
    pub(crate) async fn read_session(&self, ttl_ms: u64) -> Option<Session> {
        let session = self.session.as_ref().expect("the lane has a session");
        let read = self.store.session(&self.tenant, session, ttl_ms).await;
        read.unwrap()
    }

    /// Applies an event to a loaded lane. Returns the commit to make, and the effects. The commit appends the turns in
    /// `append` to the session.
    pub(crate) fn build_commit(
        &self,
        loaded: &LoadedLane,
        event: &Event,
        append: Vec<Turn>,
    ) -> Result<(Commit, Effects), Refused> {
        let at = self.store.now();
        let job = event.job();
        let mut next = loaded.lane.clone();
        let effects = lane::apply(&mut next, loaded.outcome(job), event, at)?;
        let mut timers: Vec<(JobId, Option<TimeMs>)> = Vec::new();
        for (job, timer) in &effects.timers {
            timers.retain(|(earlier, _)| earlier != job);
            timers.push((*job, *timer));
        }
        let admitted = effects.admitted.then(|| self.new_record(event, at));
        let repaired = effects.repaired.map(|job| RepairedJob {
            fence: loaded.outcome(job).expect("the job has ended").fence,
            meta: Arc::new(self.new_record(event, at).meta.clone()),
        });
        let ended = effects.ended.iter().cloned().map(|ending| EndedJob {
            job: ending.entry.job,
            class: ending.entry.class,
            keep_ms: self.keep_ms,
            outcome: ending.into_outcome(effects.keep_turns.then(reply), None),
        });
        let is_live = |lane: &Lane| !lane.entries.is_empty();
        let session_changes = !append.is_empty()
            || self.token_measure.is_some()
            || effects.admitted
            || effects.repaired.is_some()
            || is_live(&next) != is_live(&loaded.lane);
        let commit = Commit {
            lane: self.key(),
            expected: loaded.version,
            version: LaneVersion::new_v4(),
            timers,
            admitted: admitted.into_iter().collect(),
            repaired: repaired.into_iter().collect(),
            ended: ended.collect(),
            session: (session_changes && self.session.is_some()).then_some(SessionWrite {
                replace_from_turn: self.replace_from_turn,
                append,
                token_measure: self.token_measure,
                bounds: self.bounds,
            }),
            counts: LaneCounts::of(&next) - LaneCounts::of(&loaded.lane),
            deferred: DeferredChange::between(&loaded.lane, &next),
            dropped_calls: effects.dropped_calls.clone(),
            outcomes_of: vec![job],
            run_inputs_of: None,
            needs_run_inputs: false,
            at,
            next,
        };
        Ok((commit, effects))
    }

    fn new_record(&self, event: &Event, at: TimeMs) -> Arc<NewJob> {
        let Event::Admit(admit) = event else {
            panic!("only an admission creates a record");
        };
        Arc::new(NewJob {
            meta: JobMeta {
                v: DocumentVersion::FIRST,
                id: admit.job,
                tenant: self.tenant.clone(),
                session: self.session.clone(),
                model: self.model.to_owned(),
                class: admit.class,
                created_at: at,
                expires_at: admit.deadline,
                retried_at: None,
                is_tool_results: false,
                metadata: serde_json::Map::new(),
                keep_until: self.keep_until,
                replaces: None,
                traceparent: None,
                unknown: UnknownFields::NONE,
            },
            request: request(admit.job),
        })
    }

    /// Loads the lane, applies an event and commits. After a conflict, applies the event to the newer lane.
    pub(crate) async fn try_apply(
        &self,
        event: &Event,
        append: Vec<Turn>,
    ) -> Result<Effects, Refused> {
        let mut loaded = self.load(&[event.job()]).await;
        loop {
            let (commit, effects) = self.build_commit(&loaded, event, append.clone())?;
            match self.store.commit(&commit).await.unwrap() {
                CommitResult::Done(_) => return Ok(effects),
                CommitResult::Conflict(newer) => loaded = *newer,
            }
        }
    }

    /// Like [`try_apply`](Self::try_apply), for an event that must not be refused and appends no turns.
    pub(crate) async fn apply(&self, event: &Event) -> Effects {
        self.try_apply(event, Vec::new()).await.unwrap()
    }

    /// Admits a new job.
    pub(crate) async fn admit(&self) -> JobId {
        let job = self.new_job_id();
        self.apply(&Event::Admit(self.admission(job))).await;
        job
    }

    /// Claims a job. Returns its fence.
    pub(crate) async fn claim(&self, job: JobId, worker_name: &str) -> u64 {
        let event = Event::Claim {
            job,
            worker: worker(worker_name),
            repeated_fence: None,
            limit_ms: LONG_MS,
        };
        match self.apply(&event).await.claim {
            Some(ClaimResult::Granted { fence }) => fence,
            other => panic!("the claim was not granted: {other:?}"),
        }
    }

    /// The event that ends an attempt with a reply.
    pub(crate) fn finish_event(job: JobId, fence: u64, hold_ms: Option<u64>) -> Event {
        Event::Finish {
            job,
            fence,
            error: None,
            hold_ms,
        }
    }

    /// Defers a job until this account has a permit for it. With a fence, ends the attempt with that fence.
    pub(crate) async fn defer(&self, job: JobId, fence: Option<u64>, account: &AccountKey) {
        let event = Event::Defer {
            job,
            fence,
            account: account.clone(),
            error: JobError::new("rate_limited", "the provider is busy"),
        };
        self.apply(&event).await;
    }

    /// Admits a job and defers it before a worker claims it.
    pub(crate) async fn admit_deferred(&self, account: &AccountKey) -> JobId {
        let job = self.admit().await;
        self.defer(job, None, account).await;
        job
    }

    /// Ends an attempt with a reply and appends these turns.
    pub(crate) async fn finish(&self, job: JobId, fence: u64, append: &[&str]) {
        let event = Self::finish_event(job, fence, None);
        self.try_apply(&event, turns(append)).await.unwrap();
    }

    /// Admits, claims and finishes a job that appends these turns.
    pub(crate) async fn complete(&self, append: &[&str]) -> JobId {
        let job = self.admit().await;
        let fence = self.claim(job, "worker-1").await;
        self.finish(job, fence, append).await;
        job
    }
}

fn reply() -> Reply {
    Reply {
        text: Some(String::from("a reply")),
        reasoning: None,
        tool_calls: Vec::new(),
        finish_reason: FinishReason::Stop,
        usage: None,
        turns_sent: 1,
        turns_dropped: 0,
        unknown: UnknownFields::NONE,
    }
}
