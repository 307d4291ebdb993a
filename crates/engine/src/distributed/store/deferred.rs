//! The index of deferred heads: it finds the heads that wait for an account, oldest first.
//!
//! An older release does not know deferred heads. It reads such a head as one that waits for its next try, and its commits
//! do not change the index. So after a claim or a cancel by an older process, the index has an entry whose head is not
//! deferred any more. The search checks each entry against its lane. It leaves out outdated entries and removes them. Until
//! then, the counts include them.

use std::collections::BTreeMap;

use forebay_shared::{
    account::AccountKey,
    class::Class,
    ids::{JobId, LaneKey},
    store::{DeferredEntry, DeferredHead, StoreError},
};

use super::{
    arguments::Arguments,
    earliest::{TimedMember, TimedSets},
    keys::{deferred_name, tenant_class},
    lane_document,
    redis_store::RedisStore,
    reply_part::ReplyPart,
};
use crate::rejection::broken_data;

/// The most searches of one call. A search that finds entries that are outdated or cannot be read may be repeated.
const SEARCHES_MAX: usize = 8;

/// What an entry of the index has turned out to be.
enum Checked {
    /// The head of the lane waits for the account.
    Deferred {
        /// The job at the head.
        job: JobId,
        /// Whether a worker has claimed the job.
        claimed: bool,
    },
    /// The head does not wait for the account. The text is the lane's version at the check; empty without a document.
    Outdated(String),
    /// This process cannot check the entry: a newer release wrote the lane, or the lane's data is damaged.
    Unreadable,
}

impl RedisStore {
    /// Returns at most `limit` heads of a class that wait for an account, those that were admitted first.
    pub(super) async fn find_deferred_heads(
        &self,
        account: &AccountKey,
        class: Class,
        limit: usize,
    ) -> Result<Vec<DeferredHead>, StoreError> {
        let name = deferred_name(account, class);
        let sets = TimedSets {
            command_name: "ZRANGE of deferred heads",
            key: |partition| self.keys.deferred(partition, &name),
            until: String::from("+inf"),
        };
        let mut heads = Vec::new();
        let mut wanted = limit;
        for _ in 0..SEARCHES_MAX {
            let found = self.find_earliest(&sets, wanted).await?;
            let found_count = found.len();
            let entries = found.into_iter();
            let lanes: Vec<LaneKey> = entries
                .filter_map(|TimedMember { member, .. }| LaneKey::parse(&member).ok())
                .collect();
            heads.clear();
            let checked = self.check_deferred(&lanes, account, class).await?;
            let mut outdated = Vec::new();
            for (lane, checked) in lanes.into_iter().zip(checked) {
                match checked {
                    Checked::Deferred { job, claimed } => {
                        heads.push(DeferredHead { lane, job, claimed });
                    }
                    Checked::Outdated(version) => outdated.push((lane, version)),
                    Checked::Unreadable => {}
                }
            }
            if !outdated.is_empty() {
                self.remove_outdated(&name, class, &outdated).await?;
            }
            if heads.len() >= limit || found_count < wanted {
                break;
            }
            // Entries that cannot be read stay in the index. They must not hide the entries behind them.
            if heads.len() + outdated.len() < found_count {
                wanted = wanted.saturating_mul(2);
            }
        }
        heads.truncate(limit);
        Ok(heads)
    }

    /// Checks for each of these lanes whether its head waits for the account.
    async fn check_deferred(
        &self,
        lanes: &[LaneKey],
        account: &AccountKey,
        class: Class,
    ) -> Result<Vec<Checked>, StoreError> {
        if lanes.is_empty() {
            return Ok(Vec::new());
        }
        let name = deferred_name(account, class);
        let by_partition = by_partition(lanes.iter());
        let calls: Vec<_> = by_partition
            .iter()
            .map(|(partition, positions)| {
                let mut args = Arguments::default();
                args.push(self.keys.partition_prefix(*partition))
                    .push(name.as_str());
                for position in positions {
                    args.push(lanes[*position].to_string());
                }
                ([self.keys.deferred(*partition, &name)], args)
            })
            .collect();
        let replies = self
            .connections
            .eval_each(&self.scripts.deferred_heads, &calls)
            .await?;
        let mut all: Vec<Checked> = lanes.iter().map(|_| Checked::Unreadable).collect();
        for (positions, reply) in by_partition.values().zip(replies) {
            for (position, reply) in positions.iter().zip(reply.list()?) {
                all[*position] = read_checked(reply, account, class)?;
            }
        }
        Ok(all)
    }

    /// Removes entries from the index, each only if its lane still has this version.
    async fn remove_outdated(
        &self,
        name: &str,
        class: Class,
        outdated: &[(LaneKey, String)],
    ) -> Result<(), StoreError> {
        let by_partition = by_partition(outdated.iter().map(|(lane, _)| lane));
        let calls: Vec<_> = by_partition
            .iter()
            .map(|(partition, positions)| {
                let mut args = Arguments::default();
                args.push(self.keys.partition_prefix(*partition)).push(name);
                for (lane, version) in positions.iter().map(|position| &outdated[*position]) {
                    args.push_text(lane)
                        .push(version.as_str())
                        .push(tenant_class(lane.tenant(), class));
                }
                ([self.keys.deferred(*partition, name)], args)
            })
            .collect();
        self.connections
            .eval_each(&self.scripts.remove_deferred, &calls)
            .await
            .map(drop)
    }
}

/// The positions of the lanes of each partition.
fn by_partition<'a>(lanes: impl Iterator<Item = &'a LaneKey>) -> BTreeMap<u8, Vec<usize>> {
    let mut positions: BTreeMap<u8, Vec<usize>> = BTreeMap::new();
    for (position, lane) in lanes.enumerate() {
        positions
            .entry(lane.partition())
            .or_default()
            .push(position);
    }
    positions
}

/// Reads the reply of `deferred_heads.lua` for one lane: the job and whether it was claimed, or the lane's document.
fn read_checked(
    reply: ReplyPart,
    account: &AccountKey,
    class: Class,
) -> Result<Checked, StoreError> {
    let [job, claimed, document] = reply.parts()?;
    if let Some(job) = job.non_nil() {
        let job = JobId::parse(&job.text()?).map_err(broken_data)?;
        let claimed = claimed.u64_or_zero()? == 1;
        return Ok(Checked::Deferred { job, claimed });
    }
    let Some(document) = document.non_nil() else {
        return Ok(Checked::Outdated(String::new()));
    };
    // If an older process wrote the document, its first line never shows a deferred head, but its JSON may have one.
    let (version, lane) = match lane_document::read(&document.bytes()?) {
        Ok(read) => read,
        Err(StoreError::Newer(_) | StoreError::Broken(_)) => return Ok(Checked::Unreadable),
        Err(error) => return Err(error),
    };
    let entry = DeferredEntry::of(&lane);
    let entry = entry.filter(|entry| (&entry.account, entry.class) == (account, class));
    Ok(match entry {
        Some(DeferredEntry { job, claimed, .. }) => Checked::Deferred { job, claimed },
        None => Checked::Outdated(version.simple().to_string()),
    })
}
