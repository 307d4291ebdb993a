//! Implements the trait [`Store`]. Each call becomes a command or a script. Where a method of the trait seems to call
//! itself, it calls the inherent method of the same name, because inherent methods have precedence.

use std::sync::Arc;

use async_trait::async_trait;
use forebay_shared::{
    account::AccountKey,
    class::Class,
    ids::{JobId, LaneKey, ProcessId, SessionId, TenantId},
    job::Request,
    lane::LiveProcesses,
    session::{SessionInfo, StoredTurn},
    session_settings::StoredSettings,
    store::{
        AccountSwap, Commit, CommitResult, Counts, DeferredHead, FoundJob, Head, HeadFilter,
        HeadPage, IdempotencyEntry, JobRemoval, ListPosition, ListQuery, ListedSession, LoadedLane,
        LoadedRunInputs, Notices, RecentCounts, RunInputs, SessionListQuery, SessionPut,
        SessionPutResult, SessionRemoval, SetKeyResult, SettingsSwap, SettingsSwapResult, Store,
        StoreError, StoredAccounts, Timer, TimerMove, Topic, TurnRange,
    },
    time::TimeMs,
};
use redis::cmd;

use super::{
    arguments::Arguments, commit::script_arguments, load, redis_store::RedisStore,
    reply_part::ReplyPart, timers::SuspectTimer,
};
use crate::{
    rejection::{OnStoreFull, broken_data},
    rows::CommitRows,
};

/// The reply of `commit.lua` if the session does not have the first turn that the commit replaces.
const TURN_GONE: u64 = 2;

/// The most bytes of the arguments of a script. Redis accepts arguments of 512 MiB each and 1 GiB together, unless it is
/// configured otherwise.
pub(super) const COMMAND_BYTES_MAX: usize = 400 * 1024 * 1024;

#[async_trait]
impl Store for RedisStore {
    fn now(&self) -> TimeMs {
        self.clock.now()
    }

    fn is_full(&self) -> bool {
        self.memory.is_full()
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
        let mut args = Arguments::default();
        args.push(self.keys.partition_prefix(lane.partition()));
        load::push_query(&mut args, lane, outcomes_of, run_inputs_of);
        let key = self.keys.lane(lane);
        let script = &self.scripts.load;
        let reply = self
            .connections
            .eval(script, &key, &args, OnStoreFull::Retry);
        load::read(reply.await?, outcomes_of, run_inputs_of)
    }

    async fn run_inputs(
        &self,
        lane: &LaneKey,
        job: JobId,
    ) -> Result<Option<RunInputs>, StoreError> {
        self.read_run_inputs(lane, job).await
    }

    async fn commit(&self, commit: &Commit) -> Result<CommitResult, StoreError> {
        let accepts_jobs = !commit.admitted.is_empty();
        if accepts_jobs && self.memory.is_full() {
            return Err(StoreError::Full);
        }
        let (script, on_store_full) = if accepts_jobs {
            (&self.scripts.commit_with_new_jobs, OnStoreFull::Refuse)
        } else {
            (&self.scripts.commit_without_new_jobs, OnStoreFull::Retry)
        };
        let args = script_arguments(&self.keys, commit, CommitRows::of(commit)?)?;
        if args.bytes() > COMMAND_BYTES_MAX {
            return Err(StoreError::TooLarge);
        }
        let key = self.keys.lane(&commit.lane);
        let reply = self
            .connections
            .eval(script, &key, &args, on_store_full)
            .await?;
        if reply.is_done() {
            return Ok(CommitResult::Done(None));
        }
        if reply.as_u64() == Some(TURN_GONE) {
            return Err(StoreError::TurnGone);
        }
        // A commit that returns run inputs has two parts. A conflict has three.
        if reply.has_parts(2) {
            let [_done, run_inputs] = reply.parts()?;
            let run_inputs = LoadedRunInputs::parsed(load::read_inline(run_inputs));
            return Ok(CommitResult::Done(Some(run_inputs)));
        }
        let current = load::read(reply, &commit.outcomes_of, commit.run_inputs_of)?;
        Ok(CommitResult::Conflict(Box::new(current)))
    }

    async fn heads(
        &self,
        filter: HeadFilter,
        after: Option<&Head>,
        limit: usize,
    ) -> Result<HeadPage, StoreError> {
        let after = after.map(|head| &head.lane);
        self.find_heads(&filter, after, limit).await
    }

    async fn accounts(&self) -> Result<StoredAccounts, StoreError> {
        self.read_accounts().await
    }

    async fn swap_account(&self, swap: &AccountSwap) -> Result<bool, StoreError> {
        self.swap(swap).await
    }

    async fn deferred_heads(
        &self,
        account: &AccountKey,
        class: Class,
        limit: usize,
    ) -> Result<Vec<DeferredHead>, StoreError> {
        self.find_deferred_heads(account, class, limit).await
    }

    async fn due_timers(&self, now: TimeMs, limit: usize) -> Result<Vec<Timer>, StoreError> {
        self.find_due_timers(now, limit).await
    }

    async fn move_timers(&self, moves: &[TimerMove]) -> Result<Vec<bool>, StoreError> {
        if moves.is_empty() {
            return Ok(Vec::new());
        }
        self.move_each_timer(moves).await
    }

    async fn remove_orphan_timers(&self, timers: &[Timer]) -> Result<Vec<bool>, StoreError> {
        if timers.is_empty() {
            return Ok(Vec::new());
        }
        self.remove_each_orphan(timers.iter().map(SuspectTimer::of).collect())
            .await
    }

    async fn find_job(
        &self,
        tenant: &TenantId,
        job: JobId,
        outcome_bytes_max: u64,
    ) -> Result<Option<FoundJob>, StoreError> {
        self.read_job(tenant, job, outcome_bytes_max).await
    }

    async fn remove_job(&self, tenant: &TenantId, job: JobId) -> Result<JobRemoval, StoreError> {
        self.remove_ended_job(tenant, job).await
    }

    async fn is_job_removed(&self, job: JobId) -> Result<bool, StoreError> {
        self.is_removed(job).await
    }

    async fn list_jobs(&self, query: &ListQuery) -> Result<Vec<ListPosition>, StoreError> {
        self.find_listed(query).await
    }

    async fn request(&self, job: JobId) -> Result<Option<Request>, StoreError> {
        self.read_request(job).await
    }

    async fn request_bytes(&self, jobs: &[JobId]) -> Result<Vec<u64>, StoreError> {
        let sizes = jobs.iter().map(|job| {
            let mut size = cmd("HSTRLEN");
            size.arg(self.keys.job(*job)).arg("request");
            size
        });
        let name = "HSTRLEN of a request";
        let sizes = self.connections.run_each(name, sizes.collect()).await?;
        sizes.into_iter().map(ReplyPart::u64_or_zero).collect()
    }

    async fn set_idempotency_key(
        &self,
        tenant: &TenantId,
        key: &str,
        entry: &IdempotencyEntry,
        ttl_ms: u64,
    ) -> Result<SetKeyResult, StoreError> {
        if self.memory.is_full() {
            // The job of a new key would be refused.
            return Err(StoreError::Full);
        }
        let document = serde_json::to_string(entry).map_err(broken_data)?;
        let mut set = cmd("SET");
        set.arg(self.keys.idempotency(tenant, key))
            .arg(document)
            .arg(&["NX", "GET", "PX"])
            .arg(ttl_ms.max(1));
        let value = self.connections.run(&set, OnStoreFull::Refuse).await?;
        match ReplyPart::new("SET of an idempotency key", value).non_nil() {
            None => Ok(SetKeyResult::Set),
            Some(found) => Ok(SetKeyResult::AlreadySet(found.document()?)),
        }
    }

    async fn idempotency_key(
        &self,
        tenant: &TenantId,
        key: &str,
    ) -> Result<Option<IdempotencyEntry>, StoreError> {
        let mut get = cmd("GET");
        get.arg(self.keys.idempotency(tenant, key));
        let value = self.connections.run(&get, OnStoreFull::Retry).await?;
        ReplyPart::new("GET of an idempotency key", value)
            .non_nil()
            .map(ReplyPart::document)
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
        let mut args = Arguments::default();
        for entry in [expected, next] {
            args.push(serde_json::to_string(entry).map_err(broken_data)?);
        }
        args.push_text(ttl_ms.max(1));
        let key = self.keys.idempotency(tenant, key);
        let script = &self.scripts.swap_idempotency_key;
        let reply = self
            .connections
            .eval(script, &key, &args, OnStoreFull::Retry);
        Ok(reply.await?.int()? != 0)
    }

    async fn session_info(
        &self,
        tenant: &TenantId,
        session: &SessionId,
        ttl_ms: u64,
    ) -> Result<Option<SessionInfo>, StoreError> {
        self.read_session_info(tenant, session, ttl_ms).await
    }

    async fn session_turns(
        &self,
        tenant: &TenantId,
        session: &SessionId,
        range: TurnRange,
    ) -> Result<Vec<StoredTurn>, StoreError> {
        self.read_turns(tenant, session, range).await
    }

    async fn session_settings(
        &self,
        tenant: &TenantId,
        session: &SessionId,
    ) -> Result<Option<StoredSettings>, StoreError> {
        self.find_settings(tenant, session).await
    }

    async fn session_model(
        &self,
        tenant: &TenantId,
        session: &SessionId,
    ) -> Result<Option<String>, StoreError> {
        self.find_model(tenant, session).await
    }

    async fn swap_settings(
        &self,
        swap: Arc<SettingsSwap>,
    ) -> Result<SettingsSwapResult, StoreError> {
        self.swap_settings(&swap).await
    }

    async fn list_sessions(
        &self,
        query: &SessionListQuery,
    ) -> Result<Vec<ListedSession>, StoreError> {
        self.find_listed_sessions(query).await
    }

    async fn put_session(&self, put: Arc<SessionPut>) -> Result<SessionPutResult, StoreError> {
        self.write_session(&put).await
    }

    async fn remove_session(
        &self,
        tenant: &TenantId,
        session: &SessionId,
    ) -> Result<SessionRemoval, StoreError> {
        self.remove_idle_session(tenant, session).await
    }

    async fn evict_sessions(&self, sessions_max: u64, limit: usize) -> Result<u64, StoreError> {
        self.evict_least_recently_used(sessions_max, limit).await
    }

    async fn delete_expired(&self, limit: usize) -> Result<u64, StoreError> {
        let deleted = self.delete_expired_sessions(limit).await?;
        self.prune_list().await?;
        self.prune_sessions().await?;
        Ok(deleted)
    }

    async fn renew_presence(
        &self,
        me: &ProcessId,
        presence_ttl_ms: u64,
    ) -> Result<LiveProcesses, StoreError> {
        self.renew_presence(me, presence_ttl_ms).await
    }

    async fn end_presence(&self, me: &ProcessId) -> Result<(), StoreError> {
        self.end_presence(me).await
    }

    async fn elect_sweeper(&self, me: &ProcessId, ttl_ms: u64) -> Result<bool, StoreError> {
        self.elect_sweeper(me, ttl_ms).await
    }

    async fn end_term(&self, me: &ProcessId) -> Result<(), StoreError> {
        self.end_term(me).await
    }

    async fn counts(&self) -> Result<Counts, StoreError> {
        self.sum_counts().await
    }

    async fn recent_counts(&self) -> Result<RecentCounts, StoreError> {
        self.read_or_sum_counts().await
    }

    async fn watch(&self, topic: Topic) -> Result<Notices, StoreError> {
        self.subscriber.watch(topic).await
    }
}
