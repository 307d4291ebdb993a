//! The table of counts. Each transaction that changes counts updates the table once.

use forebay_shared::{
    lane::ClassCounts,
    store::{Counts, TenantClassCounts},
    time::TimeMs,
};
use rusqlite::{Connection, named_params};

use super::columns::{ClassColumn, NameColumn, TimeColumn, int, u64_or_zero};
use crate::rows::CountRow;

/// What the commits of one transaction add to the counts.
#[derive(Debug, Default)]
pub(super) struct CountDeltas {
    /// One sum for each tenant and class. A search through the list is fast, because a transaction has at most 128
    /// writes.
    rows: Vec<(String, CountRow)>,
}

impl CountDeltas {
    /// Adds a row of one commit.
    pub(super) fn add(&mut self, tenant: &str, row: &CountRow) {
        let is_same = |(row_tenant, sum): &&mut (String, CountRow)| {
            sum.class == row.class && row_tenant == tenant
        };
        match self.rows.iter_mut().find(is_same) {
            Some((_, sum)) => {
                sum.live += row.live;
                sum.ended += row.ended;
            }
            None => self.rows.push((tenant.to_owned(), *row)),
        }
    }

    /// Writes the sums.
    pub(super) fn write(&self, db: &Connection) -> rusqlite::Result<()> {
        let mut rows = self.rows.iter();
        rows.try_for_each(|(tenant, row)| write(db, tenant, row))
    }
}

fn write(db: &Connection, tenant: &str, row: &CountRow) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO counts
             (tenant, class, ready, in_flight, behind_session, retry_wait, ended)
         VALUES (:tenant, :class, :ready, :in_flight, :behind_session, :retry_wait, :ended)
         ON CONFLICT (tenant, class) DO UPDATE SET
             ready = ready + excluded.ready,
             in_flight = in_flight + excluded.in_flight,
             behind_session = behind_session + excluded.behind_session,
             retry_wait = retry_wait + excluded.retry_wait,
             ended = ended + excluded.ended",
    )?
    .execute(named_params! {
        ":tenant": tenant, ":class": row.class.as_str(), ":ready": row.live.ready,
        ":in_flight": row.live.in_flight, ":behind_session": row.live.behind_session,
        ":retry_wait": row.live.retry_wait, ":ended": int(row.ended),
    })
    .map(drop)
}

/// Reads all counts.
pub(super) fn read(db: &Connection, now: TimeMs) -> rusqlite::Result<Counts> {
    let rows = db
        .prepare_cached(
            "SELECT tenant, class, ready, in_flight, behind_session, retry_wait, ended,
                 (SELECT min(admitted_at) FROM timers
                  WHERE timers.tenant = counts.tenant AND timers.class = counts.class
                    AND waiting = 1)
             FROM counts",
        )?
        .query_map([], |row| {
            let (NameColumn(tenant), ClassColumn(class)) = (row.get(0)?, row.get(1)?);
            let oldest_waiting: Option<TimeColumn> = row.get(7)?;
            Ok(TenantClassCounts {
                tenant,
                class,
                live: ClassCounts {
                    ready: row.get(2)?,
                    in_flight: row.get(3)?,
                    behind_session: row.get(4)?,
                    retry_wait: row.get(5)?,
                },
                ended: u64_or_zero(row.get(6)?),
                oldest_waiting: oldest_waiting.map(|TimeColumn(at)| at),
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    let sessions = super::sessions::count(db, now)?;
    Ok(Counts { rows, sessions })
}
