//! The search for heads of lanes by their state.

use forebay_shared::{
    ids::JobId,
    store::{Head, HeadFilter, HeadPage},
};
use rusqlite::{Connection, Row, named_params};

use super::columns::{JobIdColumn, LaneKeyColumn, NameColumn, TimeColumn, first_readable};

/// Returns the heads that match the filter, in the order of their ids: the job that was created first comes first.
pub(super) fn find(
    db: &Connection,
    filter: &HeadFilter,
    after: Option<JobId>,
    limit: usize,
) -> rusqlite::Result<HeadPage> {
    let head = |row: &Row<'_>| {
        let LaneKeyColumn(lane) = row.get("key")?;
        let JobIdColumn(job) = row.get("head")?;
        let (TimeColumn(timer), TimeColumn(admitted_at)) =
            (row.get("at")?, row.get("admitted_at")?);
        let TimeColumn(deadline) = row.get("deadline")?;
        let worker: Option<NameColumn<_>> = row.get("worker")?;
        Ok(lane.map(|lane| Head {
            lane,
            job,
            admitted_at,
            deadline,
            timer,
            worker: worker.map(|NameColumn(worker)| worker),
        }))
    };
    let (state, class) = match filter {
        HeadFilter::Running => ("running", None),
        HeadFilter::Ready(class) => ("ready", Some(class.as_str())),
    };
    // CROSS JOIN makes SQLite scan the timers first, in the order of their jobs. So a page can start after the last head of
    // the page before. All ids sort after the empty blob.
    let mut select = db.prepare_cached(
        "SELECT key, head, worker, at, admitted_at, deadline
         FROM timers CROSS JOIN lanes ON lanes.n = timers.lane AND lanes.head = timers.job
         WHERE job > coalesce(:after, x'') AND head_state = :state
           AND (:class IS NULL OR lanes.class = :class)
         ORDER BY job",
    )?;
    let heads = select.query_map(
        named_params! {":state": state, ":class": class, ":after": after.map(JobIdColumn)},
        head,
    )?;
    let heads = first_readable(heads, limit)?;
    Ok(HeadPage {
        is_last: heads.len() < limit,
        heads,
    })
}

#[cfg(test)]
mod tests {
    use forebay_shared::class::Class;

    use super::*;
    use crate::embedded::schema;

    /// A pass over all heads ends with the page that is marked as the last. Without the mark, new heads could prolong the pass
    /// for ever.
    #[test]
    fn a_page_with_space_left_is_the_last_one() {
        let folder = tempfile::tempdir().unwrap();
        let db = schema::open_writer(&folder.path().join("forebay.db")).unwrap();
        let ready = HeadFilter::Ready(Class::Batch);
        let page = |limit| find(&db, &ready, None, limit).unwrap();
        assert!(page(1).heads.is_empty() && page(1).is_last);

        let job = JobId::parse("job_fb01a2142e2ff7667a899ff9f941495845").unwrap();
        db.execute(
            "INSERT INTO lanes VALUES (1, 's/default/a', x'00', 1, ?1, 'ready', 'batch', NULL, 9, '')",
            [JobIdColumn(job)],
        )
        .unwrap();
        db.execute(
            "INSERT INTO timers VALUES (?1, 5, 1, 's/default/a', 'default', 'batch', 1, 3)",
            [JobIdColumn(job)],
        )
        .unwrap();
        assert_eq!((page(1).heads.len(), page(1).is_last), (1, false));
        assert_eq!((page(2).heads.len(), page(2).is_last), (1, true));
    }
}
