//! The store's port: words into statements for the engine's threads, rows back into words.

use std::sync::Arc;

use async_trait::async_trait;
use forebay_shared::{
    ids::{JobId, LaneKey, ProcessId, SessionId, TenantId},
    job::Request,
    session::Session,
    store::{
        Commit, Committed, Counts, Head, HeadFilter, JobRecord, KeyEntry, KeyOutcome, Loaded,
        Notices, Removed, Renewal, Store, StoreError, Timer, TimerMove, Topic,
    },
    time::TimeMs,
};
use rusqlite::Connection;

use super::{
    change::{self, Change},
    clock::Clock,
    counts,
    durable::Durable,
    failure::{Accepts, Failure, unreadable},
    fleet::Fleet,
    jobs, keys,
    lanes::{self, LaneQuery},
    readers::Readers,
    sessions, timers,
    watchers::Watchers,
    writer::Writer,
};

/// The store of this process.
pub(super) struct SqliteStore {
    pub(super) writer: Writer,
    pub(super) readers: Readers,
    pub(super) durable: Arc<Durable>,
    pub(super) clock: Clock,
    pub(super) fleet: Fleet,
    pub(super) watchers: Arc<Watchers>,
}

impl SqliteStore {
    /// Reads what is on the disk.
    async fn read<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let answer = async {
            let seen = self.readers.run(work).await?;
            self.durable.wait(seen.newest).await?;
            Ok(seen.value)
        };
        answer
            .await
            .map_err(|failure: Failure| failure.into_store_error(Accepts::No))
    }

    /// Reads what may not be on the disk yet, for those who tell nobody of it before they have committed something
    /// that comes after it.
    async fn read_ahead<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let answer = async {
            let seen = self.readers.run(work).await?;
            // It may never be.
            if self.durable.has_failed() {
                return Err(Failure::Unsynced);
            }
            Ok(seen.value)
        };
        answer
            .await
            .map_err(|failure| failure.into_store_error(Accepts::No))
    }

    /// Forgets up to `limit` things. A large one takes long to delete, so each write stops after a moment, and others
    /// have their turn before the next.
    async fn in_pieces<W>(&self, limit: usize, forget: W) -> Result<u64, StoreError>
    where
        W: Fn(&Connection, usize) -> rusqlite::Result<u64> + Copy + Send + 'static,
    {
        let limit_all = u64::try_from(limit).unwrap_or(u64::MAX);
        let mut gone = 0;
        while gone < limit_all {
            let left = usize::try_from(limit_all - gone).unwrap_or(limit);
            let piece = self.write(Accepts::No, move |db| forget(db, left)).await?;
            if piece == 0 {
                break;
            }
            gone += piece;
        }
        Ok(gone)
    }

    async fn write<T, W>(&self, accepts: Accepts, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: Fn(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let answer = self.writer.run(move |to| work(to.db), |_| {}).await;
        answer.map_err(|failure| failure.into_store_error(accepts))
    }

    /// Takes no more calls; those that wait are done.
    pub(super) fn stop(&self) {
        self.writer.stop();
        self.readers.stop();
        self.watchers.stop();
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn now(&self) -> TimeMs {
        self.clock.now()
    }

    async fn load(
        &self,
        lane: &LaneKey,
        jobs: &[JobId],
        work: Option<JobId>,
    ) -> Result<Loaded, StoreError> {
        let session = lane.session();
        let query = LaneQuery {
            lane: lane.to_string(),
            session: session.map(|session| (lane.tenant().to_string(), session.to_string())),
            about: jobs.to_vec(),
            work,
        };
        let now = self.now();
        let read = move |db: &Connection| lanes::read(db, &query, now);
        // Whoever wants the work of a job claims it next.
        let raw = match work {
            Some(_) => self.read_ahead(read).await?,
            None => self.read(read).await?,
        };
        raw.parse()
    }

    async fn commit(&self, commit: &Commit) -> Result<Committed, StoreError> {
        let change = Change::of(commit)?;
        let accepts = change.accepts();
        let notices = change::notices(commit);
        let watchers = Arc::clone(&self.watchers);
        let now = self.now();
        let answer = self
            .writer
            .run(
                move |to| change.write(to, now),
                move |conflict| {
                    if conflict.is_none() {
                        watchers.notify(&notices);
                    }
                },
            )
            .await;
        match answer.map_err(|failure| failure.into_store_error(accepts))? {
            None => Ok(Committed::Done),
            Some(raw) => Ok(Committed::Conflict(Box::new(raw.parse()?))),
        }
    }

    async fn heads(
        &self,
        filter: HeadFilter,
        after: Option<&LaneKey>,
        limit: usize,
    ) -> Result<Vec<Head>, StoreError> {
        // Every key comes after the empty text.
        let after = after.map(ToString::to_string).unwrap_or_default();
        self.read_ahead(move |db| lanes::heads(db, &filter, &after, limit))
            .await
    }

    async fn due(&self, now: TimeMs, limit: usize) -> Result<Vec<Timer>, StoreError> {
        self.read_ahead(move |db| timers::due(db, now, limit)).await
    }

    async fn move_timers(&self, moves: &[TimerMove]) -> Result<Vec<bool>, StoreError> {
        if moves.is_empty() {
            return Ok(Vec::new());
        }
        let moves = moves.to_vec();
        self.write(Accepts::No, move |db| timers::shift(db, &moves))
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
        doc.map(|doc| serde_json::from_str(&doc).map_err(unreadable))
            .transpose()
    }

    async fn claim_key(
        &self,
        tenant: &TenantId,
        key: &str,
        entry: &KeyEntry,
        ttl_ms: u64,
    ) -> Result<KeyOutcome, StoreError> {
        let doc = serde_json::to_string(entry).map_err(unreadable)?;
        let (tenant, key, now) = (tenant.to_string(), key.to_owned(), self.now());
        let found = self
            .write(Accepts::Yes, move |db| {
                keys::claim(db, &tenant, &key, &doc, now, ttl_ms)
            })
            .await?;
        match found {
            None => Ok(KeyOutcome::Set),
            Some(doc) => Ok(KeyOutcome::Found(
                serde_json::from_str(&doc).map_err(unreadable)?,
            )),
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
        let (tenant, session) = (tenant.to_string(), session.to_string());
        let (touched_tenant, touched_session) = (tenant.clone(), session.clone());
        // First, so that what is read cannot be over by the time it is read.
        let touched = self
            .write(Accepts::No, move |db| {
                sessions::touch(db, &touched_tenant, &touched_session, now, ttl_ms)
            })
            .await?;
        if !touched {
            return Ok(None);
        }
        let raw = self
            .read(move |db| sessions::read(db, &lane, &tenant, &session, now))
            .await?;
        raw.map(sessions::RawSession::parse).transpose()
    }

    async fn remove_session(
        &self,
        tenant: &TenantId,
        session: &SessionId,
    ) -> Result<Removed, StoreError> {
        let (tenant, session, now) = (tenant.clone(), session.clone(), self.now());
        self.write(Accepts::No, move |db| {
            sessions::remove(db, &tenant, &session, now)
        })
        .await
    }

    async fn evict_sessions(&self, sessions_max: u64, limit: usize) -> Result<u64, StoreError> {
        let now = self.now();
        // Mostly there is nothing to do, and that needs no turn of the writer.
        let count = self.read_ahead(move |db| sessions::count(db, now));
        if count.await? <= sessions_max {
            return Ok(0);
        }
        self.in_pieces(limit, move |db, limit| {
            sessions::evict(db, sessions_max, limit, now)
        })
        .await
    }

    async fn prune(&self, limit: usize) -> Result<u64, StoreError> {
        let now = self.now();
        let mut gone = 0;
        for forget in [jobs::prune, sessions::prune, keys::prune] {
            gone += self
                .in_pieces(limit, move |db, limit| forget(db, limit, now))
                .await?;
        }
        Ok(gone)
    }

    async fn announce(&self, me: &ProcessId, presence_ms: u64) -> Result<Renewal, StoreError> {
        // Presence itself is in memory; but who cannot write must not be taken for present.
        self.write(Accepts::No, |_| Ok(())).await?;
        let now = self.now();
        let alive = self.fleet.announce(me, presence_ms, now);
        Ok(Renewal { now, alive })
    }

    async fn resign(&self, me: &ProcessId) -> Result<(), StoreError> {
        self.fleet.resign(me);
        Ok(())
    }

    async fn elect(&self, me: &ProcessId, ttl_ms: u64) -> Result<bool, StoreError> {
        Ok(self.fleet.elect(me, ttl_ms, self.now()))
    }

    async fn abdicate(&self, me: &ProcessId) -> Result<(), StoreError> {
        self.fleet.abdicate(me);
        Ok(())
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        let now = self.now();
        self.read_ahead(move |db| counts::read(db, now)).await
    }

    async fn watch(&self, topic: Topic) -> Result<Notices, StoreError> {
        Ok(self.watchers.watch(topic))
    }
}
