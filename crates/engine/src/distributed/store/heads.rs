//! Finds heads by their state, in the order of partition and lane.

use forebay_shared::{
    ids::LaneKey,
    store::{Head, HeadFilter, StoreError},
    time::TimeMs,
};
use redis::cmd;

use super::{
    arguments::Arguments,
    keys::{class_code, partitions},
    lane_document,
    redis_reply::RedisReply,
    redis_store::RedisStore,
};
use crate::rejection::broken_data;

/// A range of a partition's index of heads. The index is a sorted set. Each member is the head's code and then the lane's
/// key. The code is one letter: `r` for a running head, and the class (`i` or `b`) for a ready head. For example,
/// `bs/default/chat-42` is the ready batch head of the lane `s/default/chat-42`.
struct IndexRange {
    partition: u8,
    /// The lower bound, in the notation of `ZRANGE BYLEX`.
    from: String,
    /// The upper bound, in the same notation.
    to: String,
}

impl RedisStore {
    /// Returns at most `limit` heads after a lane, in two round trips. The first counts the heads of each partition.
    /// The second reads from as many partitions as needed.
    pub(super) async fn find_heads(
        &self,
        filter: &HeadFilter,
        after: Option<&LaneKey>,
        limit: usize,
    ) -> Result<Vec<Head>, StoreError> {
        let ranges = ranges(filter, after);
        let counts = ranges.iter().map(|range| {
            let mut count = cmd("ZLEXCOUNT");
            count
                .arg(self.keys.heads(range.partition))
                .arg(&range.from)
                .arg(&range.to);
            count
        });
        let counts = self
            .connections
            .run_each("ZLEXCOUNT of heads", counts.collect())
            .await?;
        let mut calls = Vec::new();
        let mut still_wanted = limit;
        for (range, count) in ranges.iter().zip(counts) {
            let count = usize::try_from(count.u64_or_zero()?).unwrap_or(usize::MAX);
            if count == 0 || still_wanted == 0 {
                continue;
            }
            let mut args = Arguments::default();
            args.push(self.keys.partition_prefix(range.partition))
                .push(range.from.as_str())
                .push(range.to.as_str())
                .push_size(still_wanted);
            calls.push((self.keys.heads(range.partition), args));
            still_wanted -= count.min(still_wanted);
        }
        let mut heads = Vec::new();
        if !calls.is_empty() {
            for reply in self
                .connections
                .eval_each(&self.scripts.heads, &calls)
                .await?
            {
                for head in reply.list()? {
                    heads.extend(read_head(head)?);
                }
            }
        }
        // New heads may have appeared between the two round trips.
        heads.truncate(limit);
        Ok(heads)
    }
}

/// Returns the ranges to search, in order. They begin after the lane `after`, or with the first partition.
fn ranges(filter: &HeadFilter, after: Option<&LaneKey>) -> Vec<IndexRange> {
    let code = match filter {
        HeadFilter::Running => 'r',
        HeadFilter::Ready(class) => class_code(*class),
    };
    let first = after.map_or(0, LaneKey::partition);
    partitions()
        .filter(|partition| *partition >= first)
        .map(|partition| IndexRange {
            partition,
            from: match after {
                Some(lane) if partition == first => format!("({code}{lane}"),
                _ => format!("[{code}"),
            },
            // The tilde sorts after all bytes of a lane's key.
            to: format!("({code}~"),
        })
        .collect()
}

fn read_head(reply: RedisReply) -> Result<Option<Head>, StoreError> {
    let [lane, first_line, timer] = reply.parts()?;
    // Every head has a timer. If one has none, the data is damaged. Such a head is left out, so that the search still
    // returns all other heads.
    let Some(timer) = timer.non_nil() else {
        return Ok(None);
    };
    let lane = LaneKey::parse(&lane.text()?).map_err(broken_data)?;
    lane_document::read_head(&first_line.bytes()?, lane, TimeMs(timer.u64_or_zero()?)).map(Some)
}

#[cfg(test)]
mod tests {
    use forebay_shared::class::Class;

    use super::*;

    #[test]
    fn a_page_starts_after_the_last_lane_of_the_page_before() {
        let lane = LaneKey::parse("s/default/chat-42").unwrap();
        let ranges = ranges(&HeadFilter::Ready(Class::Batch), Some(&lane));
        // This lane is in partition 22.
        assert_eq!(ranges[0].partition, 22);
        assert_eq!(ranges[0].from, "(bs/default/chat-42");
        assert_eq!(
            (ranges[1].from.as_str(), ranges[1].to.as_str()),
            ("[b", "(b~")
        );
        assert_eq!(ranges.len(), 256 - 22);
    }
}
