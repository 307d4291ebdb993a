//! Reads the documents of jobs, which may be large. Large replies come over connections of their own.

use forebay_shared::{
    ids::{JobId, LaneKey, TenantId},
    job::Request,
    session::StoredTurn,
    store::{
        FoundJob, INLINE_BYTES_MAX, JobRemoval, REMOVED_JOB_MS, REMOVED_KEYED_JOB_MS, RunInputs,
        StoreError, TurnRange,
    },
    turn::Turn,
};
use redis::cmd;

use super::{arguments::Arguments, keys, load, redis_store::RedisStore, reply_part::ReplyPart};
use crate::{off_async_threads::off_async_threads, rejection::OnStoreFull};

/// The most bytes of turns that one command returns. A larger turn is returned alone.
const PAGE_BYTES_MAX: u64 = 2 * 1024 * 1024;

impl RedisStore {
    /// Reads what a worker needs to run a job. The first reply holds the request, whatever its size. The turns follow in pages
    /// of [`PAGE_BYTES_MAX`].
    pub(super) async fn read_run_inputs(
        &self,
        lane: &LaneKey,
        job: JobId,
    ) -> Result<Option<RunInputs>, StoreError> {
        let session = lane.session();
        let name = session.map(|session| keys::session_name(lane.tenant(), session));
        let mut args = Arguments::default();
        args.push(self.keys.partition_prefix(lane.partition()))
            .push(name.unwrap_or_default())
            .push_text(job);
        let key = self.keys.lane(lane);
        let script = &self.scripts.run_inputs;
        let reply = self
            .connections
            .eval_for_large_reply(script, &key, &args)
            .await?;
        let Some(reply) = reply.non_nil() else {
            return Ok(None);
        };
        let parts = reply.parts()?;
        let mut run_inputs = off_async_threads(|| load::read_run_inputs(parts, Vec::new()))?;
        let Some(session) = session else {
            return Ok(Some(run_inputs));
        };
        let mut range = TurnRange {
            from: 0,
            turns_max: usize::MAX,
            bytes_max: PAGE_BYTES_MAX,
        };
        loop {
            let page = self.read_turns(lane.tenant(), session, range).await?;
            let Some(last) = page.last() else {
                return Ok(Some(run_inputs));
            };
            range.from = last.number + 1;
            let numbers = page.iter().map(|turn| turn.number);
            run_inputs.conversation.numbers.extend(numbers);
            let turns = off_async_threads(|| parse(page))?;
            run_inputs.conversation.turns.extend(turns);
        }
    }

    /// Reads a job of a tenant, if its outcome has at most `outcome_bytes_max` bytes.
    pub(super) async fn read_job(
        &self,
        tenant: &TenantId,
        job: JobId,
        outcome_bytes_max: u64,
    ) -> Result<Option<FoundJob>, StoreError> {
        let mut args = Arguments::default();
        args.push(self.keys.partition_prefix(job.partition()))
            .push_text(outcome_bytes_max);
        let key = self.keys.job(job);
        let script = &self.scripts.job;
        let is_large = outcome_bytes_max > INLINE_BYTES_MAX;
        let reply = if is_large {
            self.connections
                .eval_for_large_reply(script, &key, &args)
                .await?
        } else {
            self.connections
                .eval(script, &key, &args, OnStoreFull::Retry)
                .await?
        };
        let Some(reply) = reply.non_nil() else {
            return Ok(None);
        };
        let found = if is_large {
            off_async_threads(|| load::read_job(reply))?
        } else {
            load::read_job(reply)?
        };
        Ok(match found {
            FoundJob::Record(record) if record.meta.tenant != *tenant => None,
            FoundJob::LargeOutcome { meta, .. } if meta.tenant != *tenant => None,
            found => Some(found),
        })
    }

    /// Removes a job that has ended.
    pub(super) async fn remove_ended_job(
        &self,
        tenant: &TenantId,
        job: JobId,
    ) -> Result<JobRemoval, StoreError> {
        let mut args = Arguments::default();
        args.push_text(tenant)
            .push_time(self.clock.now())
            .push_text(REMOVED_JOB_MS)
            .push_text(job)
            .push(self.keys.partition_prefix(job.partition()))
            .push_text(REMOVED_KEYED_JOB_MS);
        let key = self.keys.job(job);
        let script = &self.scripts.remove_job;
        let reply = self
            .connections
            .eval(script, &key, &args, OnStoreFull::Retry);
        Ok(match reply.await?.int()? {
            1 => JobRemoval::Removed,
            2 => JobRemoval::IsLive,
            _ => JobRemoval::NotFound,
        })
    }

    /// Whether a job was removed. The record of a removed job has only the summary of the outcome.
    pub(super) async fn is_removed(&self, job: JobId) -> Result<bool, StoreError> {
        let mut get = cmd("HMGET");
        get.arg(self.keys.job(job)).arg(&["meta", "mark"]);
        let value = self.connections.run(&get, OnStoreFull::Retry).await?;
        let [meta, mark] = ReplyPart::new("HMGET of a record", value).parts()?;
        Ok(meta.non_nil().is_none() && mark.non_nil().is_some())
    }

    /// Reads the request of a job.
    pub(super) async fn read_request(&self, job: JobId) -> Result<Option<Request>, StoreError> {
        let mut get = cmd("HGET");
        get.arg(self.keys.job(job)).arg("request");
        let value = self.connections.run_for_large_reply(&get).await?;
        let request = ReplyPart::new("HGET of a request", value).non_nil();
        off_async_threads(|| request.map(ReplyPart::document).transpose())
    }
}

fn parse(turns: Vec<StoredTurn>) -> Result<Vec<Turn>, StoreError> {
    let turns = turns.into_iter();
    turns.map(|turn| Ok(turn.parse()?)).collect()
}
