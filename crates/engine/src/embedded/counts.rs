//! The counts, kept in the commits themselves.

use forebay_shared::{
    class::Class,
    lane::ClassCounts,
    store::{Counts, TenantClass},
    time::TimeMs,
};
use rusqlite::{Connection, named_params};

use super::columns::{At, InClass, Name, int, natural};

/// What the commits of one transaction do to the counts.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// For each tenant and class the difference, and how many jobs end. Few, as a transaction is bounded.
    rows: Vec<(String, Class, ClassCounts, u64)>,
}

impl Tally {
    /// Takes in a commit's difference for a class.
    pub(super) fn add(&mut self, tenant: &str, class: Class, delta: ClassCounts, ended: u64) {
        if ended == 0 && delta == ClassCounts::default() {
            return;
        }
        let of_class = |row: &&mut (String, Class, _, _)| row.1 == class && row.0 == tenant;
        match self.rows.iter_mut().find(of_class) {
            Some((.., sum, all)) => {
                *sum += delta;
                *all += ended;
            }
            None => self.rows.push((tenant.to_owned(), class, delta, ended)),
        }
    }

    /// Adds it to the counts.
    pub(super) fn write(&self, db: &Connection) -> rusqlite::Result<()> {
        let mut rows = self.rows.iter();
        rows.try_for_each(|(tenant, class, delta, ended)| add(db, tenant, *class, *delta, *ended))
    }
}

fn add(
    db: &Connection,
    tenant: &str,
    class: Class,
    delta: ClassCounts,
    ended: u64,
) -> rusqlite::Result<()> {
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
        ":tenant": tenant, ":class": class.as_str(), ":ready": delta.ready,
        ":in_flight": delta.in_flight, ":behind_session": delta.behind_session,
        ":retry_wait": delta.retry_wait, ":ended": int(ended),
    })
    .map(drop)
}

/// Reads them all.
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
            let (Name(tenant), InClass(class)) = (row.get(0)?, row.get(1)?);
            let oldest: Option<At> = row.get(7)?;
            Ok(TenantClass {
                tenant,
                class,
                live: ClassCounts {
                    ready: row.get(2)?,
                    in_flight: row.get(3)?,
                    behind_session: row.get(4)?,
                    retry_wait: row.get(5)?,
                },
                ended: natural(row.get(6)?),
                oldest_waiting: oldest.map(|At(at)| at),
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    let sessions = super::sessions::count(db, now)?;
    Ok(Counts { rows, sessions })
}
