//! The list of jobs. Each partition has a part of it: a sorted set whose entries are in the order of their text, because all scores
//! are 0. So all jobs of a tenant are one range, in the order of their creation.
//!
//! Redis deletes expired records itself, and leaves their entries. The sweeper checks the entries one after another, and removes those
//! without a record.

use std::sync::atomic::Ordering;

use forebay_shared::{
    ids::{JobId, TenantId},
    store::{ListPosition, ListQuery, StoreError},
    time::TimeMs,
};
use redis::{Cmd, cmd};

use super::{
    arguments::Arguments, keys::partitions, redis_store::RedisStore, reply_part::ReplyPart,
};
use crate::rejection::{OnStoreFull, broken_data};

/// The fewest entries that are read of each partition at once.
const PAGE_MIN: usize = 8;
/// How many entries a call of the sweeper checks. With a million jobs, all entries are checked in about 17 minutes.
const CHECKED_MAX: usize = 1_000;

/// The entry of a job. Entries sort by time until the year 5138: later times have more than 14 digits.
pub(super) fn list_entry(tenant: &TenantId, created_at: TimeMs, job: JobId) -> String {
    format!("{tenant}|{:014}|{job}", created_at.0)
}

/// The entry does not have the form of [`list_entry`].
#[derive(Debug, thiserror::Error)]
#[error("an entry of the list of jobs is unreadable")]
struct UnreadableEntry;

fn position(entry: &str) -> Result<ListPosition, StoreError> {
    let mut parts = entry.rsplitn(3, '|');
    let job = parts.next().and_then(|job| JobId::parse(job).ok());
    let created_at = parts.next().and_then(|time| time.parse().ok());
    match (job, created_at) {
        (Some(job), Some(created_at)) => Ok(ListPosition {
            created_at: TimeMs(created_at),
            job,
        }),
        _ => Err(broken_data(UnreadableEntry)),
    }
}

impl RedisStore {
    /// Reads a page of each partition that may have jobs of the query, and merges the pages.
    pub(super) async fn find_listed(
        &self,
        query: &ListQuery,
    ) -> Result<Vec<ListPosition>, StoreError> {
        let Some(bounds) = query.bounds() else {
            return Ok(Vec::new());
        };
        let (wanted, page) = match query.partition() {
            Some(partition) => (vec![partition], query.limit),
            // The jobs are spread over all partitions, so a page of each rarely needs many entries.
            None => (partitions().collect(), (query.limit / 32).max(PAGE_MIN)),
        };
        let (first, last) = bounds.into_inner();
        let tenant = &query.tenant;
        let mut low = format!("[{tenant}|{:014}|", first.0);
        // `~` is greater than every character of a job's id.
        let mut high = format!("[{tenant}|{:014}|~", last.0);
        if let Some(after) = query.after {
            let entry = list_entry(tenant, after.created_at, after.job);
            match query.is_oldest_first {
                true if after.created_at >= first => low = format!("({entry}"),
                false if after.created_at <= last => high = format!("({entry}"),
                _ => {}
            }
        }
        let read = |partition: &u8| -> Cmd {
            let mut range = cmd("ZRANGE");
            range.arg(self.keys.listed_jobs(*partition));
            if query.is_oldest_first {
                range.arg(&low).arg(&high).arg("BYLEX");
            } else {
                range.arg(&high).arg(&low).arg(&["BYLEX", "REV"]);
            }
            range.arg("LIMIT").arg(0).arg(page);
            range
        };
        let commands = wanted.iter().map(read).collect();
        let replies = self
            .connections
            .run_each("ZRANGE of jobs", commands)
            .await?;
        let mut pages = Vec::new();
        for reply in replies {
            let entries = reply.list()?.map(|entry| position(&entry.text()?));
            pages.push(entries.collect::<Result<Vec<_>, StoreError>>()?);
        }
        Ok(merge_pages(pages, page, query.is_oldest_first, query.limit))
    }

    /// Removes entries without a record from one partition. Once all entries of a partition are checked, the next call
    /// takes the next partition.
    pub(super) async fn prune_list(&self) -> Result<(), StoreError> {
        let partition = self.pruned_partition.load(Ordering::Relaxed);
        let mut args = Arguments::default();
        args.push(self.keys.partition_prefix(partition))
            .push_text(CHECKED_MAX);
        let key = self.keys.listed_jobs(partition);
        let script = &self.scripts.prune_list;
        let reply = self
            .connections
            .eval(script, &key, &args, OnStoreFull::Retry);
        if ReplyPart::u64_or_zero(reply.await?)? < CHECKED_MAX as u64 {
            self.pruned_partition
                .store(partition.wrapping_add(1), Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Merges the pages of all partitions. Returns at most `limit` positions. A full page, one of `page_len` positions, may not be the
/// last of its partition. So the result ends where the first full page ends: positions may be missing behind it.
pub(super) fn merge_pages<P: Ord + Clone>(
    pages: Vec<Vec<P>>,
    page_len: usize,
    is_oldest_first: bool,
    limit: usize,
) -> Vec<P> {
    let full = pages.iter().filter(|page| page.len() >= page_len);
    let last = full.filter_map(|page| page.last());
    let horizon = if is_oldest_first {
        last.min().cloned()
    } else {
        last.max().cloned()
    };
    let mut positions: Vec<P> = pages.into_iter().flatten().collect();
    positions.sort_unstable();
    if !is_oldest_first {
        positions.reverse();
    }
    if let Some(horizon) = horizon {
        positions.retain(|position| {
            if is_oldest_first {
                *position <= horizon
            } else {
                *position >= horizon
            }
        });
    }
    positions.truncate(limit);
    positions
}
