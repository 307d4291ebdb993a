//! The search for heads of lanes by their state.

use forebay_shared::{
    ids::JobId,
    store::{Head, HeadFilter, HeadPage},
};
use rusqlite::{Connection, Row, named_params};

use super::columns::{JobIdColumn, LaneKeyColumn, NameColumn, TimeColumn, first_readable};

/// Returns the heads that match the filter, in the order of their ids, which is the order of their admission.
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
