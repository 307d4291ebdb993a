//! The index of deferred heads: one row for each lane whose head waits for its provider.

use forebay_shared::store::{DeferredChange, DeferredHead};
use rusqlite::Connection;

use super::{
    columns::{JobIdColumn, LaneKeyColumn, TimeColumn, size},
    counts::CountDeltas,
};

/// The heads of an account and a class that were admitted first.
const OLDEST: &str = "SELECT lane, job FROM deferred WHERE account = ?1 AND class = ?2
     ORDER BY admitted_at, lane LIMIT ?3";

/// Writes what a commit changes in the index. Runs no statement for a commit that changes nothing in it.
pub(super) fn write(
    db: &Connection,
    lane: &str,
    change: &DeferredChange,
    counts: &mut CountDeltas,
) -> rusqlite::Result<()> {
    if let Some(entry) = &change.remove {
        db.prepare_cached("DELETE FROM deferred WHERE lane = ?1")?
            .execute([lane])?;
        counts.add_deferred(&entry.account, entry.class, -1);
    }
    if let Some(entry) = &change.add {
        db.prepare_cached(
            "INSERT INTO deferred (lane, job, account, class, admitted_at)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute((
            lane,
            JobIdColumn(entry.job),
            entry.account.as_str(),
            entry.class.as_str(),
            TimeColumn(entry.admitted_at),
        ))?;
        counts.add_deferred(&entry.account, entry.class, 1);
    }
    Ok(())
}

/// Returns the heads of an account and a class that were admitted first.
pub(super) fn heads(
    db: &Connection,
    account: &str,
    class: &str,
    limit: usize,
) -> rusqlite::Result<Vec<DeferredHead>> {
    db.prepare_cached(OLDEST)?
        .query_map((account, class, size(limit)), |row| {
            let (LaneKeyColumn(lane), JobIdColumn(job)) = (row.get(0)?, row.get(1)?);
            Ok(DeferredHead { lane, job })
        })?
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::embedded::schema;

    /// A search that sorts reads all heads of the account, however many wait.
    #[test]
    fn a_search_reads_only_the_heads_that_it_returns() {
        let folder = tempfile::tempdir().unwrap();
        let db = schema::open_writer(&folder.path().join("forebay.db")).unwrap();
        let plan: Vec<String> = db
            .prepare(&format!("EXPLAIN QUERY PLAN {}", super::OLDEST))
            .unwrap()
            .query_map(("acme", "batch", 10), |row| row.get("detail"))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        let [step] = &plan[..] else {
            panic!("the search has several steps: {plan:?}");
        };
        assert!(step.contains("INDEX deferred_order"), "{step}");
    }
}
