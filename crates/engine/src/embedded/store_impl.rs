//! Implements the trait [`Store`]. Calls about stored data run as reads and writes on the engine's threads.

use std::sync::Arc;

use async_trait::async_trait;
use forebay_shared::{
    account::AccountKey,
    class::Class,
    document,
    ids::{JobId, LaneKey, ProcessId, SessionId, TenantId},
    job::Request,
    lane::LiveProcesses,
    session::{SessionInfo, StoredTurn},
    session_settings::StoredSettings,
    store::{
        AccountSwap, Commit, CommitResult, Counts, DeferredHead, FoundJob, Head, HeadFilter,
        HeadPage, INLINE_BYTES_MAX, IdempotencyEntry, JobRemoval, ListPosition, ListQuery,
        ListedSession, LoadedLane, Notices, RunInputs, SessionListQuery, SessionPut,
        SessionPutResult, SessionRemoval, SetKeyResult, SettingsSwap, SettingsSwapResult, Store,
        StoreError, StoredAccounts, Timer, TimerMove, Topic, TurnRange,
    },
    time::TimeMs,
};

use super::{
    commit::{SqlCommit, SqlCommitResult},
    counts, deferred,
    disk_space::{DiskFull, WriteKind},
    heads,
    idempotency_keys::{self, NewKey},
    jobs,
    lane_row::LaneName,
    lanes::{self, LaneQuery},
    sessions::{self, SessionKey},
    sqlite_store::SqliteStore,
    timers,
};
use crate::{
    off_async_threads::off_async_threads,
    rejection::{OnStoreFull, Rejection, broken_data},
    rows::CommitRows,
};

#[async_trait]
impl Store for SqliteStore {
    fn now(&self) -> TimeMs {
        self.clock.now()
    }

    fn is_full(&self) -> bool {
        self.space.is_full()
    }

    fn to_utc(&self, time: TimeMs) -> TimeMs {
        self.clock.to_utc(time)
    }

    async fn load(
        &self,
        lane: &LaneKey,
        outcomes_of: &[JobId],
        run_inputs_of: Option<JobId>,
    ) -> Result<LoadedLane, StoreError> {
        let query = LaneQuery::new(lane, outcomes_of, run_inputs_of);
        let now = self.now();
        let raw = self.read(move |db| lanes::read(db, &query, now)).await?;
        raw.parse()
    }

    async fn run_inputs(
        &self,
        lane: &LaneKey,
        job: JobId,
    ) -> Result<Option<RunInputs>, StoreError> {
        let (lane, now) = (LaneName::of(lane), self.now());
        let raw = self
            .read(move |db| lanes::run_inputs(db, &lane, job, now))
            .await?;
        raw.map(|raw| off_async_threads(|| raw.parse())).transpose()
    }

    async fn commit(&self, commit: &Commit) -> Result<CommitResult, StoreError> {
        let (kind, on_store_full) = if !commit.admitted.is_empty() {
            (WriteKind::NewJob, OnStoreFull::Refuse)
        } else if commit.run_inputs_of.is_some() {
            // Only a claim reads run inputs.
            (WriteKind::Claim, OnStoreFull::Retry)
        } else {
            (WriteKind::Other, OnStoreFull::Retry)
        };
        if self.space.refuses(kind) {
            return Err(Rejection::Full(Arc::new(DiskFull)).into_store_error(on_store_full));
        }
        let mut rows = CommitRows::of(commit)?;
        let notices = std::mem::take(&mut rows.notices);
        let sql_commit = SqlCommit::new(commit, rows);
        let watchers = Arc::clone(&self.watchers);
        let now = self.now();
        let result = self
            .writer
            .run(
                kind,
                move |transaction| sql_commit.write(transaction, now),
                move |result| {
                    if let SqlCommitResult::Done(_) = result {
                        watchers.notify(&notices);
                    }
                },
            )
            .await;
        let result = result.map_err(|rejection| rejection.into_store_error(on_store_full));
        result?.parse()
    }

    async fn heads(
        &self,
        filter: HeadFilter,
        after: Option<&Head>,
        limit: usize,
    ) -> Result<HeadPage, StoreError> {
        let after = after.map(|head| head.job);
        self.read(move |db| heads::find(db, &filter, after, limit))
            .await
    }

    async fn accounts(&self) -> Result<StoredAccounts, StoreError> {
        Ok(StoredAccounts {
            accounts: self.accounts.all(),
            unreadable: Vec::new(),
        })
    }

    async fn swap_account(&self, swap: &AccountSwap) -> Result<bool, StoreError> {
        let swapped = self.accounts.swap(swap);
        if swapped {
            self.watchers.notify(&[(Topic::Accounts, JobId::NIL)]);
        }
        Ok(swapped)
    }

    async fn deferred_heads(
        &self,
        account: &AccountKey,
        class: Class,
        limit: usize,
    ) -> Result<Vec<DeferredHead>, StoreError> {
        let account = account.clone();
        self.read(move |db| deferred::heads(db, account.as_str(), class.as_str(), limit))
            .await
    }

    async fn due_timers(&self, now: TimeMs, limit: usize) -> Result<Vec<Timer>, StoreError> {
        self.read(move |db| timers::due(db, now, limit)).await
    }

    async fn move_timers(&self, moves: &[TimerMove]) -> Result<Vec<bool>, StoreError> {
        if moves.is_empty() {
            return Ok(Vec::new());
        }
        let moves = moves.to_vec();
        self.write(OnStoreFull::Retry, move |db| timers::move_each(db, &moves))
            .await
    }

    async fn remove_orphan_timers(&self, timers: &[Timer]) -> Result<Vec<bool>, StoreError> {
        if timers.is_empty() {
            return Ok(Vec::new());
        }
        let timers = timers.to_vec();
        self.write(OnStoreFull::Retry, move |db| {
            timers::remove_orphans(db, &timers)
        })
        .await
    }

    async fn find_job(
        &self,
        tenant: &TenantId,
        job: JobId,
        outcome_bytes_max: u64,
    ) -> Result<Option<FoundJob>, StoreError> {
        let (tenant, now) = (tenant.to_string(), self.now());
        let raw = self
            .read(move |db| jobs::read(db, &tenant, job, outcome_bytes_max, now))
            .await?;
        let parse = |raw: jobs::RawJob| match outcome_bytes_max {
            0..=INLINE_BYTES_MAX => raw.parse(),
            _ => off_async_threads(|| raw.parse()),
        };
        raw.map(parse).transpose()
    }

    async fn remove_job(&self, tenant: &TenantId, job: JobId) -> Result<JobRemoval, StoreError> {
        let (tenant, now) = (tenant.to_string(), self.now());
        self.write(OnStoreFull::Retry, move |db| {
            jobs::remove(db, &tenant, job, now)
        })
        .await
    }

    async fn is_job_removed(&self, job: JobId) -> Result<bool, StoreError> {
        let now = self.now();
        self.read(move |db| jobs::is_removed(db, job, now)).await
    }

    async fn list_jobs(&self, query: &ListQuery) -> Result<Vec<ListPosition>, StoreError> {
        let query = query.clone();
        self.read(move |db| jobs::list(db, &query)).await
    }

    async fn request(&self, job: JobId) -> Result<Option<Request>, StoreError> {
        let now = self.now();
        let doc = self.read(move |db| jobs::request(db, job, now)).await?;
        doc.map(|doc| off_async_threads(|| Ok(document::read(doc.as_bytes())?)))
            .transpose()
    }

    async fn request_bytes(&self, jobs: &[JobId]) -> Result<Vec<u64>, StoreError> {
        let jobs = jobs.to_vec();
        self.read(move |db| jobs::request_bytes(db, &jobs)).await
    }

    async fn set_idempotency_key(
        &self,
        tenant: &TenantId,
        key: &str,
        entry: &IdempotencyEntry,
        ttl_ms: u64,
    ) -> Result<SetKeyResult, StoreError> {
        let new = NewKey {
            tenant: tenant.to_string(),
            key: key.to_owned(),
            entry: serde_json::to_string(entry).map_err(broken_data)?,
            ttl_ms,
        };
        let now = self.now();
        let found = self
            .write(OnStoreFull::Refuse, move |db| {
                idempotency_keys::set(db, &new, now)
            })
            .await?;
        match found {
            None => Ok(SetKeyResult::Set),
            Some(doc) => Ok(SetKeyResult::AlreadySet(document::read(doc.as_bytes())?)),
        }
    }

    async fn idempotency_key(
        &self,
        tenant: &TenantId,
        key: &str,
    ) -> Result<Option<IdempotencyEntry>, StoreError> {
        let (tenant, key, now) = (tenant.to_string(), key.to_owned(), self.now());
        let doc = self
            .read(move |db| idempotency_keys::read(db, &tenant, &key, now))
            .await?;
        doc.map(|doc| Ok(document::read(doc.as_bytes())?))
            .transpose()
    }

    async fn swap_idempotency_key(
        &self,
        tenant: &TenantId,
        key: &str,
        expected: &IdempotencyEntry,
        next: &IdempotencyEntry,
        ttl_ms: u64,
    ) -> Result<bool, StoreError> {
        let expected = serde_json::to_string(expected).map_err(broken_data)?;
        let new = NewKey {
            tenant: tenant.to_string(),
            key: key.to_owned(),
            entry: serde_json::to_string(next).map_err(broken_data)?,
            ttl_ms,
        };
        let now = self.now();
        self.write(OnStoreFull::Retry, move |db| {
            idempotency_keys::swap(db, &expected, &new, now)
        })
        .await
    }

    async fn session_info(
        &self,
        tenant: &TenantId,
        session: &SessionId,
        ttl_ms: u64,
    ) -> Result<Option<SessionInfo>, StoreError> {
        let now = self.now();
        let key = SessionKey::new(tenant, session);
        let used_key = key.clone();
        // The use is recorded first, so that the session cannot expire before the read.
        let used = self
            .write(OnStoreFull::Refuse, move |db| {
                sessions::touch(db, &used_key, now, ttl_ms)
            })
            .await;
        match used {
            Ok(false) => return Ok(None),
            // A full disk must not prevent reads, so the use is then not recorded.
            Ok(true) | Err(StoreError::Full) => {}
            Err(error) => return Err(error),
        }
        self.read(move |db| sessions::info(db, &key, now)).await
    }

    async fn session_turns(
        &self,
        tenant: &TenantId,
        session: &SessionId,
        range: TurnRange,
    ) -> Result<Vec<StoredTurn>, StoreError> {
        let (key, now) = (SessionKey::new(tenant, session), self.now());
        self.read(move |db| sessions::turns_from(db, &key, now, range))
            .await
    }

    async fn session_settings(
        &self,
        tenant: &TenantId,
        session: &SessionId,
    ) -> Result<Option<StoredSettings>, StoreError> {
        let (key, now) = (SessionKey::new(tenant, session), self.now());
        self.read(move |db| sessions::settings(db, &key, now)).await
    }

    async fn session_model(
        &self,
        tenant: &TenantId,
        session: &SessionId,
    ) -> Result<Option<String>, StoreError> {
        let (key, now) = (SessionKey::new(tenant, session), self.now());
        self.read(move |db| sessions::model(db, &key, now)).await
    }

    async fn swap_settings(
        &self,
        swap: Arc<SettingsSwap>,
    ) -> Result<SettingsSwapResult, StoreError> {
        let now = self.now();
        self.write(OnStoreFull::Refuse, move |db| {
            sessions::swap_settings(db, &swap, now)
        })
        .await
    }

    async fn list_sessions(
        &self,
        query: &SessionListQuery,
    ) -> Result<Vec<ListedSession>, StoreError> {
        let (query, now) = (query.clone(), self.now());
        self.read(move |db| sessions::list(db, &query, now)).await
    }

    async fn put_session(&self, put: Arc<SessionPut>) -> Result<SessionPutResult, StoreError> {
        let now = self.now();
        let written = self.write(OnStoreFull::Refuse, move |db| sessions::put(db, &put, now));
        // `None`: the written session has expired already.
        written.await?.ok_or(StoreError::Unavailable(None))
    }

    async fn remove_session(
        &self,
        tenant: &TenantId,
        session: &SessionId,
    ) -> Result<SessionRemoval, StoreError> {
        let (tenant, session, now) = (tenant.clone(), session.clone(), self.now());
        self.write(OnStoreFull::Retry, move |db| {
            sessions::remove(db, &tenant, &session, now)
        })
        .await
    }

    async fn evict_sessions(&self, sessions_max: u64, limit: usize) -> Result<u64, StoreError> {
        let now = self.now();
        // Usually there is nothing to evict, and then no write is needed. Each write counts the sessions again.
        let count = self.read(move |db| sessions::count(db, now));
        if count.await? <= sessions_max {
            return Ok(0);
        }
        self.delete_in_steps(limit, move |db, limit| {
            sessions::evict(db, sessions_max, limit, now)
        })
        .await
    }

    async fn delete_expired(&self, limit: usize) -> Result<u64, StoreError> {
        let now = self.now();
        let mut deleted = 0;
        for delete in [
            jobs::delete_expired,
            sessions::delete_expired,
            idempotency_keys::delete_expired,
        ] {
            deleted += self
                .delete_in_steps(limit, move |db, limit| delete(db, limit, now))
                .await?;
        }
        Ok(deleted)
    }

    async fn renew_presence(
        &self,
        me: &ProcessId,
        presence_ttl_ms: u64,
    ) -> Result<LiveProcesses, StoreError> {
        // Presence is kept in memory. The write is usually empty, but it fails if this process cannot write. Such a process must
        // not count as alive. On a full disk, the process counts as alive: it serves reads, and its running calls
        // continue.
        let clock = Arc::clone(&self.clock);
        let saved = self
            .write(OnStoreFull::Refuse, move |db| clock.save_while_idle(db))
            .await;
        match saved {
            Ok(()) | Err(StoreError::Full) => {}
            Err(error) => return Err(error),
        }
        let now = self.now();
        let alive = self.fleet.renew_presence(me, presence_ttl_ms, now);
        Ok(LiveProcesses {
            read_at: now,
            alive: Arc::new(alive),
        })
    }

    async fn end_presence(&self, me: &ProcessId) -> Result<(), StoreError> {
        self.fleet.end_presence(me);
        Ok(())
    }

    async fn elect_sweeper(&self, me: &ProcessId, ttl_ms: u64) -> Result<bool, StoreError> {
        Ok(self.fleet.elect_sweeper(me, ttl_ms, self.now()))
    }

    async fn end_term(&self, me: &ProcessId) -> Result<(), StoreError> {
        self.fleet.end_term(me);
        Ok(())
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        let now = self.now();
        self.read(move |db| counts::read(db, now)).await
    }

    async fn watch(&self, topic: Topic) -> Result<Notices, StoreError> {
        Ok(self.watchers.watch(topic))
    }
}
