//! Finds heads by their state, in the order of partition and lane.

use forebay_shared::{
    ids::LaneKey,
    store::{Head, HeadFilter, HeadPage, StoreError},
    time::TimeMs,
};
use redis::cmd;

use super::{
    arguments::Arguments,
    keys::{class_code, partitions},
    lane_document,
    redis_store::RedisStore,
    reply_part::ReplyPart,
};

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

/// A position in the index of heads: a partition, and the text of a lane's key.
type Position = (u8, String);

/// A page of the index of heads.
struct IndexPage {
    heads: Vec<Head>,
    /// The position of the last entry that was read, with a head or without.
    last: Option<Position>,
}

impl RedisStore {
    /// Returns at most `limit` heads after a lane. Entries of the index without a head are left out. If a page has only
    /// such entries, the search continues with the next page. Otherwise they would hide all later heads.
    pub(super) async fn find_heads(
        &self,
        filter: &HeadFilter,
        after: Option<&LaneKey>,
        limit: usize,
    ) -> Result<HeadPage, StoreError> {
        let after = after.map(|lane| (lane.partition(), lane.to_string()));
        let mut page = self.read_heads(filter, after, limit).await?;
        while page.heads.is_empty() && page.last.is_some() {
            page = self.read_heads(filter, page.last, limit).await?;
        }
        Ok(HeadPage {
            is_last: page.last.is_none(),
            heads: page.heads,
        })
    }

    /// Reads a page of the index in two round trips. The first counts the entries of each partition. The second reads from as
    /// many partitions as needed.
    async fn read_heads(
        &self,
        filter: &HeadFilter,
        after: Option<Position>,
        limit: usize,
    ) -> Result<IndexPage, StoreError> {
        let ranges = ranges(filter, after.as_ref());
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
        let (mut calls, mut called) = (Vec::new(), Vec::new());
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
                .push_text(still_wanted);
            calls.push(([self.keys.heads(range.partition)], args));
            called.push(range.partition);
            still_wanted -= count.min(still_wanted);
        }
        let mut page = IndexPage {
            heads: Vec::new(),
            last: None,
        };
        if !calls.is_empty() {
            let replies = self.connections.eval_each(&self.scripts.heads, &calls);
            for (partition, reply) in called.into_iter().zip(replies.await?) {
                for entry in reply.list()? {
                    let (lane, head) = read_entry(entry)?;
                    page.heads.extend(head);
                    page.last = Some((partition, lane));
                }
            }
        }
        // New heads may have appeared between the two round trips.
        page.heads.truncate(limit);
        Ok(page)
    }
}

/// Returns the ranges to search, in order. They begin after the position `after`, or with the first partition.
fn ranges(filter: &HeadFilter, after: Option<&Position>) -> Vec<IndexRange> {
    let code = match filter {
        HeadFilter::Running => 'r',
        HeadFilter::Ready(class) => class_code(*class),
    };
    let first = after.map_or(0, |(partition, _)| *partition);
    partitions()
        .filter(|partition| *partition >= first)
        .map(|partition| IndexRange {
            partition,
            from: match after {
                Some((_, lane)) if partition == first => format!("({code}{lane}"),
                _ => format!("[{code}"),
            },
            // The tilde sorts after all bytes of a lane's key.
            to: format!("({code}~"),
        })
        .collect()
}

/// Reads an entry of the index: the text of its lane's key, and its head.
///
/// Every head has a document and a timer. If one of them is missing, the data is damaged. If the lane's key or the document
/// cannot be read, a newer release may have written them. In all these cases, this returns no head instead of an error, so that
/// the search still returns all other heads.
fn read_entry(reply: ReplyPart) -> Result<(String, Option<Head>), StoreError> {
    let [lane, first_line, timer] = reply.parts()?;
    let lane = lane.text()?;
    let (Some(timer), Ok(key)) = (timer.non_nil(), LaneKey::parse(&lane)) else {
        return Ok((lane, None));
    };
    let timer = TimeMs(timer.u64_or_zero()?);
    let head = lane_document::read_head(&first_line.bytes()?, key, timer);
    Ok((lane, head.ok()))
}

#[cfg(test)]
mod tests {
    use forebay_shared::class::Class;

    use super::*;

    #[test]
    fn a_page_starts_after_the_last_lane_of_the_page_before() {
        let after = (22, String::from("s/default/chat-42"));
        let ranges = ranges(&HeadFilter::Ready(Class::Batch), Some(&after));
        assert_eq!(ranges[0].partition, 22);
        assert_eq!(ranges[0].from, "(bs/default/chat-42");
        assert_eq!(
            (ranges[1].from.as_str(), ranges[1].to.as_str()),
            ("[b", "(b~")
        );
        assert_eq!(ranges.len(), 256 - 22);
    }
}
