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
    session::Session,
    store::{
        AccountSwap, Commit, CommitResult, Counts, DeferredHead, Head, HeadFilter,
        IdempotencyEntry, JobRecord, LoadedLane, Notices, SessionRemoval, SetKeyResult, Store,
        StoreError, StoredAccount, Timer, TimerMove, Topic,
    },
    time::TimeMs,
};
use rusqlite::Connection;

use super::{
    commit::SqlCommit,
    counts, deferred,
    idempotency_keys::{self, NewKey},
    jobs,
    lanes::{self, LaneQuery},
    sessions::{self, SessionKey},
    sqlite_store::SqliteStore,
    timers,
};
use crate::{
    rejection::{OnStoreFull, broken_data},
    rows::CommitRows,
};

#[async_trait]
impl Store for SqliteStore {
    fn now(&self) -> TimeMs {
        self.clock.now()
    }

    async fn load(
        &self,
        lane: &LaneKey,
        outcomes_of: &[JobId],
        run_inputs_of: Option<JobId>,
    ) -> Result<LoadedLane, StoreError> {
        let query = LaneQuery::new(lane, outcomes_of, run_inputs_of);
        let now = self.now();
        let read = move |db: &Connection| lanes::read(db, &query, now);
        // Only a claim reads run inputs. The claim's commit waits for the disk, so this read need not wait.
        let raw = match run_inputs_of {
            Some(_) => self.read_unsynced(read).await?,
            None => self.read(read).await?,
        };
        raw.parse()
    }

    async fn commit(&self, commit: &Commit) -> Result<CommitResult, StoreError> {
        let mut rows = CommitRows::of(commit)?;
        let on_store_full = if rows.jobs.is_empty() {
            OnStoreFull::Retry
        } else {
            OnStoreFull::Refuse
        };
        let notices = std::mem::take(&mut rows.notices);
        let sql_commit = SqlCommit::new(commit, rows);
        let watchers = Arc::clone(&self.watchers);
        let now = self.now();
        let result = self
            .writer
            .run(
                move |transaction| sql_commit.write(transaction, now),
                move |conflict| {
                    if conflict.is_none() {
                        watchers.notify(&notices);
                    }
                },
            )
            .await;
        match result.map_err(|rejection| rejection.into_store_error(on_store_full))? {
            None => Ok(CommitResult::Done),
            Some(raw) => Ok(CommitResult::Conflict(Box::new(raw.parse()?))),
        }
    }

    async fn heads(
        &self,
        filter: HeadFilter,
        after: Option<&LaneKey>,
        limit: usize,
    ) -> Result<Vec<Head>, StoreError> {
        // All keys sort after the empty string.
        let after = after.map(ToString::to_string).unwrap_or_default();
        // The sweeper publishes wakes for these heads or requeues their jobs. Wakes are only hints, and a requeue is a
        // commit, which waits for the disk. So this read need not wait.
        self.read_unsynced(move |db| lanes::heads(db, &filter, &after, limit))
            .await
    }

    async fn accounts(&self) -> Result<Vec<StoredAccount>, StoreError> {
        Ok(self.accounts.all())
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
        // The sweeper resumes these heads. That is a commit, which waits for the disk, so this read need not wait.
        self.read_unsynced(move |db| deferred::heads(db, account.as_str(), class.as_str(), limit))
            .await
    }

    async fn due_timers(&self, now: TimeMs, limit: usize) -> Result<Vec<Timer>, StoreError> {
        // The sweeper ticks these jobs. A tick is a commit or moves a timer. Both are writes, which wait for the disk, so
        // this read need not wait.
        self.read_unsynced(move |db| timers::due(db, now, limit))
            .await
    }

    async fn move_timers(&self, moves: &[TimerMove]) -> Result<Vec<bool>, StoreError> {
        if moves.is_empty() {
            return Ok(Vec::new());
        }
        let moves = moves.to_vec();
        self.write(OnStoreFull::Retry, move |db| timers::move_each(db, &moves))
            .await
    }

    async fn job(&self, tenant: &TenantId, job: JobId) -> Result<Option<JobRecord>, StoreError> {
        let (tenant, now) = (tenant.to_string(), self.now());
        let raw = self
            .read(move |db| jobs::read(db, &tenant, job, now))
            .await?;
        raw.map(jobs::RawJob::parse).transpose()
    }

    async fn request(&self, job: JobId) -> Result<Option<Request>, StoreError> {
        let now = self.now();
        let doc = self.read(move |db| jobs::request(db, job, now)).await?;
        doc.map(|doc| Ok(document::read(doc.as_bytes())?))
            .transpose()
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

    async fn session(
        &self,
        tenant: &TenantId,
        session: &SessionId,
        ttl_ms: u64,
    ) -> Result<Option<Session>, StoreError> {
        let now = self.now();
        let lane = LaneKey::Session {
            tenant: tenant.clone(),
            session: session.clone(),
        }
        .to_string();
        let key = SessionKey::new(tenant, session);
        let used_key = key.clone();
        // The use is recorded first, so that the session cannot expire before the read.
        let exists = self
            .write(OnStoreFull::Retry, move |db| {
                sessions::touch(db, &used_key, now, ttl_ms)
            })
            .await?;
        if !exists {
            return Ok(None);
        }
        let raw = self
            .read(move |db| sessions::read(db, &lane, &key, now))
            .await?;
        raw.map(sessions::RawSession::parse).transpose()
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
        let count = self.read_unsynced(move |db| sessions::count(db, now));
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
        // Presence is kept in memory. The empty write fails if this process cannot write, so that such a process does
        // not count as alive.
        self.write(OnStoreFull::Retry, |_| Ok(())).await?;
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
