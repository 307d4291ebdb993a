//! The tables of counts. Each transaction that changes counts updates each row once.

use forebay_shared::{
    account::AccountKey,
    class::Class,
    lane::ClassCounts,
    store::{Counts, DeferredCount, TenantClassCounts},
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
    /// One sum for each account and class.
    deferred: Vec<(AccountKey, Class, DeferredDelta)>,
}

/// What the commits of one transaction add to the counts of an account and class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct DeferredDelta {
    /// Heads that wait for the account.
    pub(super) heads: i64,
    /// Jobs behind such heads.
    pub(super) behind: i64,
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

    /// The sum of an account and class.
    pub(super) fn deferred_of(&mut self, account: &AccountKey, class: Class) -> &mut DeferredDelta {
        let is_same = |sum: &(AccountKey, Class, _)| (&sum.0, sum.1) == (account, class);
        let position = self.deferred.iter().position(is_same);
        let position = position.unwrap_or_else(|| {
            let sum = (account.clone(), class, DeferredDelta::default());
            self.deferred.push(sum);
            self.deferred.len() - 1
        });
        &mut self.deferred[position].2
    }

    /// Writes the sums.
    pub(super) fn write(&self, db: &Connection) -> rusqlite::Result<()> {
        let mut rows = self.rows.iter();
        rows.try_for_each(|(tenant, row)| write(db, tenant, row))?;
        let is_change = |(.., sum): &&(_, _, DeferredDelta)| *sum != DeferredDelta::default();
        for (account, class, sum) in self.deferred.iter().filter(is_change) {
            write_deferred(db, account, *class, *sum)?;
        }
        Ok(())
    }
}

fn write(db: &Connection, tenant: &str, row: &CountRow) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO counts
             (tenant, class, ready, in_flight, behind_session, retry_wait, provider_wait, ended)
         VALUES (:tenant, :class, :ready, :in_flight, :behind_session, :retry_wait,
             :provider_wait, :ended)
         ON CONFLICT (tenant, class) DO UPDATE SET
             ready = ready + excluded.ready,
             in_flight = in_flight + excluded.in_flight,
             behind_session = behind_session + excluded.behind_session,
             retry_wait = retry_wait + excluded.retry_wait,
             provider_wait = provider_wait + excluded.provider_wait,
             ended = ended + excluded.ended",
    )?
    .execute(named_params! {
        ":tenant": tenant, ":class": row.class.as_str(), ":ready": row.live.ready,
        ":in_flight": row.live.in_flight, ":behind_session": row.live.behind_session,
        ":retry_wait": row.live.retry_wait, ":provider_wait": row.live.provider_wait,
        ":ended": int(row.ended),
    })
    .map(drop)
}

fn write_deferred(
    db: &Connection,
    account: &AccountKey,
    class: Class,
    sum: DeferredDelta,
) -> rusqlite::Result<()> {
    let name = (account.as_str(), class.as_str());
    db.prepare_cached(
        "INSERT INTO deferred_counts (account, class, heads, behind) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (account, class) DO UPDATE SET
             heads = heads + excluded.heads,
             behind = behind + excluded.behind",
    )?
    .execute((name.0, name.1, sum.heads, sum.behind))?;
    // Without this, the table would keep a row for each model that a client ever named.
    db.prepare_cached(
        "DELETE FROM deferred_counts WHERE account = ?1 AND class = ?2 AND heads = 0",
    )?
    .execute(name)
    .map(drop)
}

/// Reads all counts.
pub(super) fn read(db: &Connection, now: TimeMs) -> rusqlite::Result<Counts> {
    let rows = db
        .prepare_cached(
            "SELECT tenant, class, ready, in_flight, behind_session, retry_wait, provider_wait, ended,
                 (SELECT min(admitted_at) FROM timers
                  WHERE timers.tenant = counts.tenant AND timers.class = counts.class
                    AND waiting = 1)
             FROM counts",
        )?
        .query_map([], |row| {
            let (NameColumn(tenant), ClassColumn(class)) = (row.get(0)?, row.get(1)?);
            let oldest_waiting: Option<TimeColumn> = row.get(8)?;
            Ok(TenantClassCounts {
                tenant,
                class,
                live: ClassCounts {
                    ready: row.get(2)?,
                    in_flight: row.get(3)?,
                    behind_session: row.get(4)?,
                    retry_wait: row.get(5)?,
                    provider_wait: row.get(6)?,
                },
                ended: u64_or_zero(row.get(7)?),
                oldest_waiting: oldest_waiting.map(|TimeColumn(at)| at),
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    let sessions = super::sessions::count(db, now)?;
    let deferred = read_deferred(db)?;
    Ok(Counts {
        rows,
        deferred,
        sessions,
    })
}

/// Counts the live jobs of a tenant.
pub(super) fn live_of(db: &Connection, tenant: &str) -> rusqlite::Result<u64> {
    db.prepare_cached(
        "SELECT coalesce(sum(ready + in_flight + behind_session + retry_wait + provider_wait), 0)
         FROM counts WHERE tenant = ?1",
    )?
    .query_row([tenant], |row| row.get(0))
    .map(u64_or_zero)
}

fn read_deferred(db: &Connection) -> rusqlite::Result<Vec<DeferredCount>> {
    db.prepare_cached("SELECT account, class, heads, behind FROM deferred_counts")?
        .query_map([], |row| {
            let ClassColumn(class) = row.get(1)?;
            let heads = u64_or_zero(row.get(2)?);
            Ok(DeferredCount {
                account: AccountKey::from_text(row.get(0)?),
                class,
                heads,
                jobs: heads + u64_or_zero(row.get(3)?),
            })
        })?
        .collect()
}
