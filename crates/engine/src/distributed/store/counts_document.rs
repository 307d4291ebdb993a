//! The counts that one process has summed for all: their JSON document, and which process sums them next.
//!
//! Each process reads the document about once a second. A process that finds it too old sums the counts and stores the document.
//! The others get the old document until then. So the fleet sums the counts once a second, whatever its size, and needs no
//! particular process for that.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use forebay_shared::{
    account::AccountKey,
    class::Class,
    ids::TenantId,
    lane::ClassCounts,
    store::{Counts, DeferredCount, RECENT_COUNTS_MS, RecentCounts, StoreError, TenantClassCounts},
    time::TimeMs,
};
use serde::{Deserialize, Serialize};

use super::{arguments::Arguments, redis_store::RedisStore, reply_part::ReplyPart};
use crate::rejection::{OnStoreFull, broken_data};

/// From this age on, counts are summed again. It is below [`RECENT_COUNTS_MS`], because the clocks of two processes differ a little.
const OLD_FROM_MS: u64 = RECENT_COUNTS_MS - 50;
/// How long the other processes wait for a process that has begun to sum.
const TURN_MS: u64 = 500;
/// Up to this age, the other processes get the old counts while one process sums them.
const OLD_UNTIL_MS: u64 = 2_500;

/// The counts as JSON.
#[derive(Deserialize, Serialize)]
struct CountsDocument {
    /// How long the sum took, in milliseconds.
    took_ms: u64,
    rows: Vec<RowDocument>,
    deferred: Vec<DeferredDocument>,
    sessions: u64,
}

#[derive(Deserialize, Serialize)]
struct RowDocument {
    tenant: TenantId,
    class: Class,
    live: ClassCounts,
    ended: u64,
    oldest_waiting: Option<TimeMs>,
}

#[derive(Deserialize, Serialize)]
struct DeferredDocument {
    account: String,
    class: Class,
    heads: u64,
    jobs: u64,
}

impl RedisStore {
    /// Reads the stored counts, or sums them if it is this process's turn.
    pub(super) async fn read_or_sum_counts(&self) -> Result<RecentCounts, StoreError> {
        let now = self.clock.now();
        let mut args = Arguments::default();
        args.push_time(now)
            .push_text(OLD_FROM_MS)
            .push_text(TURN_MS)
            .push_text(OLD_UNTIL_MS);
        let key = self.keys.fleet_counts();
        let script = &self.scripts.recent_counts;
        let reply = self
            .connections
            .eval(script, &key, &args, OnStoreFull::Retry)
            .await?;
        if let Some(reply) = reply.non_nil()
            && let Some(recent) = read_recent(reply, self.clock.now())
        {
            return Ok(recent);
        }
        let began = Instant::now();
        let at = self.clock.now();
        let counts = self.sum_counts().await?;
        let took = began.elapsed();
        let mut args = Arguments::default();
        args.push_time(at)
            .push(write(&counts, took)?)
            .push_time(self.clock.now());
        self.store_counts(key, args);
        Ok(RecentCounts {
            counts,
            at,
            age: began.elapsed(),
            took,
        })
    }

    /// Stores the counts for other processes, in a task of its own. So this process gets its counts even if the store then
    /// does not respond.
    fn store_counts(&self, key: String, args: Arguments) {
        let (connections, scripts) = (Arc::clone(&self.connections), Arc::clone(&self.scripts));
        tokio::spawn(async move {
            let script = &scripts.store_counts;
            let stored = connections.eval(script, &key, &args, OnStoreFull::Retry);
            if let Err(error) = stored.await {
                tracing::debug!(%error, "the counts were not stored for other processes; another process sums them again");
            }
        });
    }
}

/// Reads the reply of `recent_counts.lua`. `None` if another release has written counts that this one cannot read.
fn read_recent(reply: ReplyPart, now: TimeMs) -> Option<RecentCounts> {
    let [at, document] = reply.parts().ok()?;
    let at = TimeMs(at.u64_or_zero().ok()?);
    let (counts, took) = read(&document.bytes().ok()?)?;
    Some(RecentCounts {
        counts,
        at,
        age: Duration::from_millis(now.since_ms(at)),
        took,
    })
}

fn write(counts: &Counts, took: Duration) -> Result<String, StoreError> {
    let rows = counts.rows.iter().map(|row| RowDocument {
        tenant: row.tenant.clone(),
        class: row.class,
        live: row.live,
        ended: row.ended,
        oldest_waiting: row.oldest_waiting,
    });
    let deferred = counts.deferred.iter().map(|count| DeferredDocument {
        account: count.account.to_string(),
        class: count.class,
        heads: count.heads,
        jobs: count.jobs,
    });
    let document = CountsDocument {
        took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        rows: rows.collect(),
        deferred: deferred.collect(),
        sessions: counts.sessions,
    };
    serde_json::to_string(&document).map_err(broken_data)
}

fn read(json: &[u8]) -> Option<(Counts, Duration)> {
    let document: CountsDocument = serde_json::from_slice(json).ok()?;
    let rows = document.rows.into_iter().map(|row| TenantClassCounts {
        tenant: row.tenant,
        class: row.class,
        live: row.live,
        ended: row.ended,
        oldest_waiting: row.oldest_waiting,
    });
    let deferred = document.deferred.into_iter().map(|count| DeferredCount {
        account: AccountKey::from_text(count.account),
        class: count.class,
        heads: count.heads,
        jobs: count.jobs,
    });
    let counts = Counts {
        rows: rows.collect(),
        deferred: deferred.collect(),
        sessions: document.sessions,
    };
    Some((counts, Duration::from_millis(document.took_ms)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_as_they_were_written() {
        let counts = Counts {
            rows: vec![TenantClassCounts {
                tenant: TenantId::default(),
                class: Class::Batch,
                live: ClassCounts {
                    ready: 3,
                    in_flight: -1,
                    ..ClassCounts::default()
                },
                ended: 7,
                oldest_waiting: Some(TimeMs(500)),
            }],
            deferred: vec![DeferredCount {
                account: AccountKey::of_model("acme", "m|1"),
                class: Class::Interactive,
                heads: 2,
                jobs: 5,
            }],
            sessions: 4,
        };
        let took = Duration::from_millis(70);
        let json = write(&counts, took).unwrap();
        assert_eq!(read(json.as_bytes()), Some((counts, took)));
        assert_eq!(read(b"{}"), None);
    }
}
