//! Writes a commit into the tables.
//!
//! The caller derives all rows beforehand, so that the writing thread only checks for conflicts and writes the rows.

use forebay_shared::{
    store::{Commit, CommitResult, LaneVersion, LoadedRunInputs, StoreError},
    time::TimeMs,
};

use super::{
    deferred, jobs,
    lane_row::{self, StoredLane},
    lanes::{self, LaneQuery, RawLane, RawRunInputs},
    sessions, timers,
    transaction::Transaction,
};
use crate::rows::CommitRows;

/// A commit, ready for the writing thread.
#[derive(Debug)]
pub(super) struct SqlCommit {
    query: LaneQuery,
    tenant: String,
    expected: Option<LaneVersion>,
    version: LaneVersion,
    at: TimeMs,
    needs_run_inputs: bool,
    rows: CommitRows,
}

/// The result of a commit.
#[derive(Debug)]
pub(super) enum SqlCommitResult {
    /// The rows are written. These are the run inputs that the commit needed.
    Done(Option<RawRunInputs>),
    /// No rows are written. This is the lane as it is.
    Conflict(RawLane),
    /// No rows are written. The session does not have the first turn that the commit replaces.
    TurnGone,
}

impl SqlCommitResult {
    /// Parses the documents.
    pub(super) fn parse(self) -> Result<CommitResult, StoreError> {
        match self {
            Self::Done(raw) => {
                let run_inputs = raw.map(|raw| LoadedRunInputs::parsed(raw.parse()));
                Ok(CommitResult::Done(run_inputs))
            }
            Self::Conflict(raw) => Ok(CommitResult::Conflict(Box::new(raw.parse()?))),
            Self::TurnGone => Err(StoreError::TurnGone),
        }
    }
}

impl SqlCommit {
    pub(super) fn new(commit: &Commit, rows: CommitRows) -> Self {
        Self {
            query: LaneQuery::new(&commit.lane, &commit.outcomes_of, commit.run_inputs_of),
            tenant: commit.lane.tenant().to_string(),
            expected: commit.expected,
            version: commit.version,
            at: commit.at,
            needs_run_inputs: commit.needs_run_inputs,
            rows,
        }
    }

    /// Writes all rows. On a conflict, writes no rows.
    pub(super) fn write(
        &self,
        transaction: &mut Transaction<'_>,
        now: TimeMs,
    ) -> rusqlite::Result<SqlCommitResult> {
        let db = transaction.db;
        let key = &self.query.lane.key;
        // All checks come before all writes, so after a conflict there is nothing to undo.
        let stored = lane_row::find(db, &self.query.lane)?;
        let mut is_conflict = stored.lane.map(|lane| lane.version) != self.expected;
        for job in &self.rows.jobs {
            is_conflict = is_conflict || jobs::exists(db, job.job, now)?;
        }
        for job in &self.rows.repaired {
            is_conflict = is_conflict || !jobs::has_outcome(db, job.job, job.fence, now)?;
        }
        if is_conflict {
            return lanes::read(db, &self.query, now).map(SqlCommitResult::Conflict);
        }
        let mut run_inputs = None;
        if self.needs_run_inputs {
            let mut lane = lanes::read(db, &self.query, now)?;
            run_inputs = lane.take_inline();
            if run_inputs.is_none() {
                return Ok(SqlCommitResult::Conflict(lane));
            }
        }
        let session_change = self.rows.session.as_ref();
        if let Some(number) = session_change.and_then(|change| change.replace_from_turn)
            && !sessions::has_turn(db, stored.session, number, self.at)?
        {
            return Ok(SqlCommitResult::TurnGone);
        }
        let lane = self.rows.lane.as_ref();
        let lane = lane_row::write(db, key, stored.lane, lane, self.version)?;
        for job in &self.rows.jobs {
            jobs::insert(db, &self.tenant, job)?;
        }
        for job in &self.rows.repaired {
            jobs::repair(db, job)?;
        }
        let old_lane = stored.lane.map(|StoredLane { number, .. }| number);
        deferred::write(
            db,
            key,
            old_lane,
            lane,
            &self.rows.deferred,
            &mut transaction.counts,
        )?;
        // Each timer belongs to an entry of the lane, so there are timers only if the lane has a row.
        if let Some(lane) = lane {
            for timer in &self.rows.timers {
                timers::set(db, lane, key, &self.tenant, timer)?;
            }
        }
        for outcome in &self.rows.outcomes {
            timers::delete(db, outcome.job)?;
            jobs::write_outcome(db, outcome)?;
        }
        match (self.query.lane.session(), &self.rows.session) {
            (Some(key), Some(change)) => {
                sessions::write(db, key, stored.session, change, lane, self.at)?;
            }
            // Without a change of the session, only the number of its lane may change. The session exists: the commit that admitted
            // the first job has created it.
            (Some(_), None) => {
                if let Some(session) = stored.session {
                    sessions::set_lane(db, session, lane)?;
                }
            }
            (None, _) => {}
        }
        for count in &self.rows.counts {
            transaction.counts.add(&self.tenant, count);
        }
        Ok(SqlCommitResult::Done(run_inputs))
    }
}
