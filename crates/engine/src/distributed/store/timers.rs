//! Reads and moves timers, over all partitions.

use std::collections::BTreeMap;

use forebay_shared::{
    ids::{JobId, LaneKey},
    store::{StoreError, Timer, TimerMove},
    time::TimeMs,
};
use redis::cmd;

use super::{
    arguments::{Arguments, time_argument},
    connections::{into_retryable_error, is_cross_slot},
    earliest::{TimedMember, TimedSets},
    redis_store::RedisStore,
    reply_part::ReplyPart,
};

/// The most searches of one call. A search that finds timers that it cannot return may be repeated.
const SEARCHES_MAX: usize = 8;
/// By how much a timer is postponed that can neither be returned nor removed.
const POSTPONED_MS: u64 = 60_000;
/// A script that moves timers of several partitions gets no further partition once it has this many moves, because no other
/// command runs during a script.
const MOVES_PER_SCRIPT: usize = 256;

/// The due timers that a search has found, by what the records of their jobs contain.
#[derive(Default)]
struct FoundTimers {
    /// Timers whose lanes are known.
    due: Vec<Timer>,
    /// Timers of jobs without a record, so their lanes are not known.
    without_record: Vec<SuspectTimer>,
    /// Members or lanes that this release cannot read. A newer release may have written them.
    unreadable: Vec<RawTimer>,
}

/// A timer as Redis stores it.
struct RawTimer {
    partition: u8,
    member: String,
    at: TimeMs,
}

/// A timer whose job may be in no lane.
pub(super) struct SuspectTimer {
    job: JobId,
    at: TimeMs,
    /// `None` if it is not known.
    lane: Option<LaneKey>,
}

impl SuspectTimer {
    pub(super) fn of(timer: &Timer) -> Self {
        Self {
            job: timer.job,
            at: timer.at,
            lane: Some(timer.lane.clone()),
        }
    }
}

impl RedisStore {
    /// Returns the timers that are due, earliest first. Removes the timers of jobs that have no record and are in no lane, and
    /// postpones all others that cannot be returned. Otherwise many such timers would hide all later ones.
    pub(super) async fn find_due_timers(
        &self,
        now: TimeMs,
        limit: usize,
    ) -> Result<Vec<Timer>, StoreError> {
        let sets = TimedSets {
            command_name: "ZRANGE of timers",
            key: |partition| self.keys.timers(partition),
            until: time_argument(now),
        };
        let mut due = Vec::new();
        for _ in 0..SEARCHES_MAX {
            let found = self.find_earliest(&sets, limit).await?;
            let may_have_more = found.len() >= limit;
            let found = self.with_lanes(found).await?;
            due = found.due;
            if found.without_record.is_empty() && found.unreadable.is_empty() {
                break;
            }
            self.remove_or_postpone(found.without_record, found.unreadable, now)
                .await?;
            if !may_have_more {
                break;
            }
        }
        Ok(due)
    }

    /// Adds the lane of each timer's job. This takes another round trip, but only when timers are due.
    async fn with_lanes(&self, members: Vec<TimedMember>) -> Result<FoundTimers, StoreError> {
        let mut found = FoundTimers::default();
        let mut jobs = Vec::with_capacity(members.len());
        for TimedMember {
            at,
            member,
            partition,
        } in members
        {
            match JobId::parse(&member) {
                Ok(job) => jobs.push((job, at)),
                Err(_) => found.unreadable.push(RawTimer {
                    partition,
                    member,
                    at,
                }),
            }
        }
        if jobs.is_empty() {
            return Ok(found);
        }
        let reads = jobs.iter().map(|(job, _)| {
            let mut read = cmd("HGET");
            read.arg(self.keys.job(*job)).arg("lane");
            read
        });
        let lanes = self
            .connections
            .run_each("HGET of a job's lane", reads.collect())
            .await?;
        for ((job, at), lane) in jobs.into_iter().zip(lanes) {
            let Some(lane) = lane.non_nil() else {
                let lane = None;
                found.without_record.push(SuspectTimer { job, at, lane });
                continue;
            };
            match LaneKey::parse(&lane.text()?) {
                Ok(lane) => found.due.push(Timer { job, lane, at }),
                Err(_) => found.unreadable.push(RawTimer {
                    partition: job.partition(),
                    member: job.to_string(),
                    at,
                }),
            }
        }
        Ok(found)
    }

    /// Removes the timers whose jobs are in no lane. Postpones the others.
    async fn remove_or_postpone(
        &self,
        without_record: Vec<SuspectTimer>,
        mut unreadable: Vec<RawTimer>,
        now: TimeMs,
    ) -> Result<(), StoreError> {
        let raw = without_record.iter().map(|timer| RawTimer {
            partition: timer.job.partition(),
            member: timer.job.to_string(),
            at: timer.at,
        });
        let raw: Vec<RawTimer> = raw.collect();
        let removed = self.remove_each_orphan(without_record).await?;
        let removed_count = removed.iter().filter(|is_removed| **is_removed).count();
        let left = raw.into_iter().zip(removed);
        unreadable.extend(left.filter_map(|(timer, is_removed)| (!is_removed).then_some(timer)));
        let postponed = unreadable.len();
        let to = now.plus_ms(POSTPONED_MS);
        let moves = unreadable.into_iter().map(|timer| RawMove { timer, to });
        self.move_each_raw(&moves.collect::<Vec<_>>()).await?;
        tracing::warn!(
            removed = removed_count,
            postponed,
            "due timers of jobs without a readable record: those of jobs in no lane were removed, the others were postponed by 60 s"
        );
        Ok(())
    }

    /// Removes each timer that still has the time that was read and whose job is in no lane. Returns for each timer whether
    /// it was removed.
    pub(super) async fn remove_each_orphan(
        &self,
        timers: Vec<SuspectTimer>,
    ) -> Result<Vec<bool>, StoreError> {
        if timers.is_empty() {
            return Ok(Vec::new());
        }
        let by_partition = positions_by_partition(timers.iter().map(|timer| timer.job.partition()));
        let calls: Vec<_> = by_partition
            .iter()
            .map(|(partition, positions)| {
                let mut args = Arguments::default();
                args.push(self.keys.partition_prefix(*partition));
                for timer in positions.iter().map(|position| &timers[*position]) {
                    let lane = timer.lane.as_ref();
                    args.push_text(timer.job)
                        .push_time(timer.at)
                        .push(lane.map(ToString::to_string).unwrap_or_default())
                        .push(lane.map_or("", |lane| lane.tenant().as_str()));
                }
                ([self.keys.timers(*partition)], args)
            })
            .collect();
        let replies = self
            .connections
            .eval_each(&self.scripts.remove_orphan_timers, &calls)
            .await?;
        read_flags(timers.len(), &by_partition, replies)
    }

    /// Moves each timer whose time still is `from`. Returns for each timer whether it was moved.
    pub(super) async fn move_each_timer(
        &self,
        moves: &[TimerMove],
    ) -> Result<Vec<bool>, StoreError> {
        let raw = moves.iter().map(|timer_move| RawMove {
            timer: RawTimer {
                partition: timer_move.job.partition(),
                member: timer_move.job.to_string(),
                at: timer_move.from,
            },
            to: timer_move.to,
        });
        self.move_each_raw(&raw.collect::<Vec<_>>()).await
    }

    async fn move_each_raw(&self, moves: &[RawMove]) -> Result<Vec<bool>, StoreError> {
        if moves.is_empty() {
            return Ok(Vec::new());
        }
        let by_partition = positions_by_partition(moves.iter().map(|raw| raw.timer.partition));
        let by_partition: Vec<PartitionMoves> = by_partition.into_iter().collect();
        // A cluster runs a script on keys of one partition only.
        let moves_per_script = if self.connections.joins_partitions() {
            MOVES_PER_SCRIPT
        } else {
            1
        };
        let mut moved = vec![false; moves.len()];
        let groups = groups(&by_partition, moves_per_script);
        let refused = self.move_groups(moves, &groups, &mut moved).await?;
        if !refused.is_empty() {
            self.connections.separate_partitions();
            let single: Vec<_> = refused.iter().flat_map(|group| group.chunks(1)).collect();
            self.move_groups(moves, &single, &mut moved).await?;
        }
        Ok(moved)
    }

    /// Moves timers, with one script for each group of partitions. Sets the flag of each moved timer in `moved`. Returns the groups
    /// that the server refused because they have several partitions.
    async fn move_groups<'a>(
        &self,
        moves: &[RawMove],
        groups: &[&'a [PartitionMoves]],
        moved: &mut [bool],
    ) -> Result<Vec<&'a [PartitionMoves]>, StoreError> {
        let call = |group: &&[PartitionMoves]| {
            let (mut keys, mut args) = (Vec::with_capacity(group.len()), Arguments::default());
            for (partition, positions) in *group {
                keys.push(self.keys.timers(*partition));
                args.push_text(positions.len());
                for RawMove { timer, to } in positions.iter().map(|position| &moves[*position]) {
                    args.push(timer.member.as_str())
                        .push_time(timer.at)
                        .push_time(*to);
                }
            }
            (keys, args)
        };
        let calls: Vec<_> = groups.iter().map(call).collect();
        let script = &self.scripts.move_timers;
        let results = self.connections.try_eval_each(script, &calls).await?;
        let mut refused = Vec::new();
        for (group, result) in groups.iter().zip(results) {
            let reply = match result {
                Ok(reply) => reply,
                Err(error) if group.len() > 1 && is_cross_slot(&error) => {
                    refused.push(*group);
                    continue;
                }
                Err(error) => return Err(into_retryable_error(error)),
            };
            // The reply has the flags of the group's partitions, in their order.
            let positions = group.iter().flat_map(|(_, positions)| positions);
            for (position, flag) in positions.zip(reply.list()?) {
                moved[*position] = flag.int()? == 1;
            }
        }
        Ok(refused)
    }
}

/// A partition, and the positions of the moves of its timers.
type PartitionMoves = (u8, Vec<usize>);

/// Groups partitions for one script each. A group gets no further partition once it has this many moves. With 1, each
/// group is one partition.
fn groups(by_partition: &[PartitionMoves], moves_per_script: usize) -> Vec<&[PartitionMoves]> {
    let mut groups = Vec::new();
    let mut rest = by_partition;
    while !rest.is_empty() {
        let mut moves = 0;
        let last = rest.iter().position(|(_, positions)| {
            moves += positions.len();
            moves >= moves_per_script
        });
        let (group, later) = rest.split_at(last.map_or(rest.len(), |last| last + 1));
        groups.push(group);
        rest = later;
    }
    groups
}

/// A timer to move to the time `to`, if it still has the time that was read.
struct RawMove {
    timer: RawTimer,
    to: TimeMs,
}

/// For each partition, the positions of its items.
fn positions_by_partition(partitions: impl Iterator<Item = u8>) -> BTreeMap<u8, Vec<usize>> {
    let mut positions: BTreeMap<u8, Vec<usize>> = BTreeMap::new();
    for (position, partition) in partitions.enumerate() {
        positions.entry(partition).or_default().push(position);
    }
    positions
}

/// Reads the replies of a script that returns 1 or 0 for each of its items.
fn read_flags(
    count: usize,
    by_partition: &BTreeMap<u8, Vec<usize>>,
    replies: Vec<ReplyPart>,
) -> Result<Vec<bool>, StoreError> {
    let mut flags = vec![false; count];
    for (positions, reply) in by_partition.values().zip(replies) {
        for (position, flag) in positions.iter().zip(reply.list()?) {
            flags[*position] = flag.int()? == 1;
        }
    }
    Ok(flags)
}
