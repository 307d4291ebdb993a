//! The index of deferred heads: one row for each lane whose head waits for its provider. Their counts are in
//! [`counts`](super::counts).

use forebay_shared::store::{BehindChange, DeferredChange, DeferredHead};
use rusqlite::Connection;

use super::{
    columns::{JobIdColumn, LaneKeyColumn, TimeColumn, first_readable},
    counts::CountDeltas,
};

/// The heads of an account and a class that were admitted first.
const OLDEST: &str = "SELECT lane_key, job, claimed FROM deferred WHERE account = ?1 AND class = ?2
     ORDER BY admitted_at, lane";

/// Writes what a commit changes in the index. Runs no statement for a commit that changes nothing in it. `old_lane` is the
/// number of the lane's row before the commit, and `lane` the number after it.
pub(super) fn write(
    db: &Connection,
    lane_key: &str,
    old_lane: Option<i64>,
    lane: Option<i64>,
    change: &DeferredChange,
    counts: &mut CountDeltas,
) -> rusqlite::Result<()> {
    if let Some(entry) = &change.remove {
        db.prepare_cached("DELETE FROM deferred WHERE lane = ?1")?
            .execute([old_lane])?;
        counts.deferred_of(&entry.account, entry.class).heads -= 1;
    }
    if let Some(entry) = &change.add {
        db.prepare_cached(
            "INSERT INTO deferred (lane, lane_key, job, account, class, admitted_at, claimed)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute((
            lane,
            lane_key,
            JobIdColumn(entry.job),
            entry.account.as_str(),
            entry.class.as_str(),
            TimeColumn(entry.admitted_at),
            entry.claimed,
        ))?;
        counts.deferred_of(&entry.account, entry.class).heads += 1;
    }
    for BehindChange {
        account,
        class,
        jobs,
    } in &change.behind
    {
        counts.deferred_of(account, *class).behind += jobs;
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
    let mut select = db.prepare_cached(OLDEST)?;
    let heads = select.query_map((account, class), |row| {
        let (LaneKeyColumn(lane), JobIdColumn(job)) = (row.get(0)?, row.get(1)?);
        let claimed = row.get(2)?;
        Ok(lane.map(|lane| DeferredHead { lane, job, claimed }))
    })?;
    first_readable(heads, limit)
}

#[cfg(test)]
mod tests {
    use crate::embedded::schema;

    /// A search that had to sort would read all heads of the account, however many wait.
    #[test]
    fn a_search_reads_only_the_heads_that_it_returns() {
        let folder = tempfile::tempdir().unwrap();
        let db = schema::open_writer(&folder.path().join("forebay.db")).unwrap();
        let plan: Vec<String> = db
            .prepare(&format!("EXPLAIN QUERY PLAN {}", super::OLDEST))
            .unwrap()
            .query_map(("acme", "batch"), |row| row.get("detail"))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        let [step] = &plan[..] else {
            panic!("the search has several steps: {plan:?}");
        };
        assert!(step.contains("INDEX deferred_oldest"), "{step}");
    }
}
