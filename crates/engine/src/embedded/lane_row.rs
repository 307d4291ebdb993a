//! The row of a lane: its number, and what a commit writes into it.
//!
//! The key of a lane is in no index. The number is found through the lane's session, or through the timer of its only job. The
//! key is compared too, because SQLite may give the number of a deleted lane to another lane.

use forebay_shared::{
    ids::{JobId, LaneKey},
    lane::HeadState,
    store::LaneVersion,
};
use rusqlite::{Connection, OptionalExtension as _, Row, ToSql, params};

use super::{
    columns::{JobIdColumn, TimeColumn, VersionColumn, size},
    sessions::{SessionKey, StoredSession},
};
use crate::rows::LaneRow;

/// The key of a lane, and the owner through which the number of its row is found.
#[derive(Clone, Debug)]
pub(super) struct LaneName {
    /// The text of the lane's key.
    pub(super) key: String,
    pub(super) owner: LaneOwner,
}

/// The owner of a lane. The number of the lane's row is found through the owner's row.
#[derive(Clone, Debug)]
pub(super) enum LaneOwner {
    /// The session of the lane.
    Session(SessionKey),
    /// The only job of a lane without a session. While the job is live, it has a timer.
    Job(JobId),
}

impl LaneName {
    pub(super) fn of(lane: &LaneKey) -> Self {
        Self {
            key: lane.to_string(),
            owner: match lane {
                LaneKey::Session { tenant, session } => {
                    LaneOwner::Session(SessionKey::new(tenant, session))
                }
                LaneKey::WithoutSession { job, .. } => LaneOwner::Job(*job),
            },
        }
    }

    /// The session of the lane, if it has one.
    pub(super) const fn session(&self) -> Option<&SessionKey> {
        match &self.owner {
            LaneOwner::Session(session) => Some(session),
            LaneOwner::Job(_) => None,
        }
    }
}

/// What a commit needs to know of the stored rows.
pub(super) struct StoredRows {
    /// The lane; `None` if it has no row.
    pub(super) lane: Option<StoredLane>,
    /// The lane's session, if it has one and the session has a row. It may have expired.
    pub(super) session: Option<StoredSession>,
}

/// The number and the version of a stored lane.
#[derive(Clone, Copy)]
pub(super) struct StoredLane {
    /// The column `n`.
    pub(super) number: i64,
    pub(super) version: LaneVersion,
}

/// Finds the rows of a lane and of its session.
pub(super) fn find(db: &Connection, name: &LaneName) -> rusqlite::Result<StoredRows> {
    let found = match &name.owner {
        LaneOwner::Session(key) => db
            .prepare_cached(
                "SELECT lanes.n, token, sessions.n, turns, turns_bytes, next_seq, expires_at, lane
                 FROM sessions LEFT JOIN lanes ON lanes.n = sessions.lane AND lanes.key = ?3
                 WHERE tenant = ?1 AND session = ?2",
            )?
            .query_row((&key.tenant, &key.session, &name.key), |row| {
                Ok(StoredRows {
                    lane: stored_lane(row)?,
                    session: Some(StoredSession::from_columns(row, 2)?),
                })
            }),
        LaneOwner::Job(job) => db
            .prepare_cached(
                "SELECT lanes.n, token FROM timers CROSS JOIN lanes ON lanes.n = timers.lane
                 WHERE job = ?1 AND lanes.key = ?2",
            )?
            .query_row((JobIdColumn(*job), &name.key), |row| {
                Ok(StoredRows {
                    lane: stored_lane(row)?,
                    session: None,
                })
            }),
    };
    Ok(found.optional()?.unwrap_or(StoredRows {
        lane: None,
        session: None,
    }))
}

/// Reads a lane from the first two columns.
fn stored_lane(row: &Row<'_>) -> rusqlite::Result<Option<StoredLane>> {
    let number: Option<i64> = row.get(0)?;
    let version: Option<VersionColumn> = row.get(1)?;
    let columns = number.zip(version);
    Ok(columns.map(|(number, VersionColumn(version))| StoredLane { number, version }))
}

/// Writes the lane's row, or deletes it if the lane is empty. Returns the number of the row; `None` without a row. The caller
/// has compared the versions.
pub(super) fn write(
    db: &Connection,
    key: &str,
    stored: Option<StoredLane>,
    lane: Option<&LaneRow>,
    version: LaneVersion,
) -> rusqlite::Result<Option<i64>> {
    match (lane, stored) {
        (None, None) => Ok(None),
        (None, Some(stored)) => {
            db.prepare_cached("DELETE FROM lanes WHERE n = ?1")?
                .execute([stored.number])?;
            Ok(None)
        }
        (Some(lane), None) => {
            let sql = "INSERT INTO lanes
                     (token, entries, head, head_state, class, worker, deadline, doc, key)
                 VALUES
                     (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
            write_row(db, sql, lane, version, &key)?;
            Ok(Some(db.last_insert_rowid()))
        }
        (Some(lane), Some(stored)) => {
            let sql =
                "UPDATE lanes SET token = ?1, entries = ?2, head = ?3, head_state = ?4, class = ?5,
                     worker = ?6, deadline = ?7, doc = ?8
                 WHERE n = ?9";
            write_row(db, sql, lane, version, &stored.number)?;
            Ok(Some(stored.number))
        }
    }
}

fn write_row(
    db: &Connection,
    sql: &str,
    lane: &LaneRow,
    version: LaneVersion,
    last_param: &dyn ToSql,
) -> rusqlite::Result<usize> {
    let head = lane.head.as_ref();
    let (state, worker) = match head.map(|head| &head.state) {
        Some(HeadState::Ready(_)) => (Some("ready"), None),
        Some(HeadState::Waiting) => (Some("waiting"), None),
        Some(HeadState::Deferred(..)) => (Some("deferred"), None),
        Some(HeadState::Running(worker)) => (Some("running"), Some(worker.as_str())),
        None => (None, None),
    };
    db.prepare_cached(sql)?.execute(params![
        VersionColumn(version),
        size(lane.entry_count),
        head.map(|head| JobIdColumn(head.job)),
        state,
        head.map(|head| head.class.as_str()),
        worker,
        head.map(|head| TimeColumn(head.deadline)),
        lane.json,
        last_param,
    ])
}
