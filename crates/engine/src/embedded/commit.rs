//! Writes a commit into the tables.
//!
//! The caller derives all rows beforehand, so that the writing thread only checks for conflicts and writes the rows.

use forebay_shared::{
    lane::HeadState,
    store::{Commit, LaneVersion},
    time::TimeMs,
};
use rusqlite::{Connection, ToSql, params};

use super::{
    columns::{JobIdColumn, TimeColumn, VersionColumn, size},
    deferred, jobs,
    lanes::{self, LaneQuery, RawLane},
    sessions, timers,
    transaction::Transaction,
};
use crate::rows::{CommitRows, LaneRow};

/// A commit, ready for the writing thread.
#[derive(Debug)]
pub(super) struct SqlCommit {
    query: LaneQuery,
    tenant: String,
    expected: Option<LaneVersion>,
    version: LaneVersion,
    at: TimeMs,
    rows: CommitRows,
}

impl SqlCommit {
    pub(super) fn new(commit: &Commit, rows: CommitRows) -> Self {
        Self {
            query: LaneQuery::new(&commit.lane, &commit.outcomes_of, commit.run_inputs_of),
            tenant: commit.lane.tenant().to_string(),
            expected: commit.expected,
            version: commit.version,
            at: commit.at,
            rows,
        }
    }

    /// Writes all rows and returns `None`. On a conflict, it writes no rows and returns the lane as it is now.
    pub(super) fn write(
        &self,
        transaction: &mut Transaction<'_>,
        now: TimeMs,
    ) -> rusqlite::Result<Option<RawLane>> {
        let db = transaction.db;
        // After a conflict, there is nothing to undo: the check for existing jobs comes before all writes, and the lane is
        // written first, only if its version is the expected one.
        let mut is_conflict = false;
        for job in &self.rows.jobs {
            is_conflict = is_conflict || jobs::exists(db, job.job, now)?;
        }
        if is_conflict || !self.write_lane(db)? {
            return lanes::read(db, &self.query, now).map(Some);
        }
        for job in &self.rows.jobs {
            jobs::insert(db, &self.tenant, job)?;
        }
        for job in &self.rows.repaired {
            jobs::delete_outcome(db, *job)?;
        }
        deferred::write(
            db,
            &self.query.lane,
            &self.rows.deferred,
            &mut transaction.counts,
        )?;
        for timer in &self.rows.timers {
            timers::set(db, &self.query.lane, &self.tenant, timer)?;
        }
        for outcome in &self.rows.outcomes {
            timers::delete(db, outcome.job)?;
            jobs::write_outcome(db, outcome)?;
        }
        if let (Some(key), Some(session)) = (&self.query.session, &self.rows.session) {
            sessions::write(db, key, session, self.at)?;
        }
        for count in &self.rows.counts {
            transaction.counts.add(&self.tenant, count);
        }
        Ok(None)
    }

    /// Writes the lane if its stored version is the expected version. Returns whether the versions are equal. The column
    /// `token` holds the version.
    fn write_lane(&self, db: &Connection) -> rusqlite::Result<bool> {
        let key = &self.query.lane;
        let written = match (&self.rows.lane, self.expected) {
            (None, None) => {
                let mut select = db.prepare_cached("SELECT 1 FROM lanes WHERE key = ?1")?;
                return Ok(!select.exists([key])?);
            }
            (None, Some(expected)) => db
                .prepare_cached("DELETE FROM lanes WHERE key = ?1 AND token = ?2")?
                .execute((key, VersionColumn(expected)))?,
            (Some(lane), None) => self.write_row(
                db,
                "INSERT INTO lanes
                     (key, token, entries, head, head_state, class, worker, deadline, doc)
                 VALUES
                     (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
                 ON CONFLICT (key) DO NOTHING",
                lane,
                params![],
            )?,
            (Some(lane), Some(expected)) => self.write_row(
                db,
                "UPDATE lanes SET token = ?2, entries = ?3, head = ?4, head_state = ?5, class = ?6,
                     worker = ?7, deadline = ?8, doc = ?9
                 WHERE key = ?1 AND token = ?10",
                lane,
                params![VersionColumn(expected)],
            )?,
        };
        Ok(written > 0)
    }

    fn write_row(
        &self,
        db: &Connection,
        sql: &str,
        lane: &LaneRow,
        more_params: &[&dyn ToSql],
    ) -> rusqlite::Result<usize> {
        let head = lane.head.as_ref();
        let (state, worker) = match head.map(|head| &head.state) {
            Some(HeadState::Ready(_)) => (Some("ready"), None),
            Some(HeadState::Waiting) => (Some("waiting"), None),
            Some(HeadState::Deferred(..)) => (Some("deferred"), None),
            Some(HeadState::Running(worker)) => (Some("running"), Some(worker.as_str())),
            None => (None, None),
        };
        let row = params![
            self.query.lane,
            VersionColumn(self.version),
            size(lane.entry_count),
            head.map(|head| JobIdColumn(head.job)),
            state,
            head.map(|head| head.class.as_str()),
            worker,
            head.map(|head| TimeColumn(head.deadline)),
            lane.json,
        ];
        db.prepare_cached(sql)?
            .execute(&*[row, more_params].concat())
    }
}
