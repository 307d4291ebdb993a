//! The columns of a session that a commit needs.

use forebay_shared::time::TimeMs;
use rusqlite::Row;

use crate::embedded::columns::TimeColumn;

/// The columns of a session that are needed to change it.
#[derive(Clone, Copy)]
pub(in crate::embedded) struct StoredSession {
    /// The column `n`.
    pub(super) row_number: i64,
    pub(super) turns: i64,
    pub(super) bytes: i64,
    /// The `seq` of the next turn.
    pub(super) next_seq: i64,
    /// `None` while the session has live jobs.
    expires_at: Option<TimeMs>,
    /// The number of the lane's row.
    pub(super) lane: Option<i64>,
}

impl StoredSession {
    /// A new session without turns.
    pub(super) const fn new(row_number: i64, lane: Option<i64>) -> Self {
        Self {
            row_number,
            turns: 0,
            bytes: 0,
            next_seq: 0,
            expires_at: None,
            lane,
        }
    }

    /// Reads the columns `n`, `turns`, `turns_bytes`, `next_seq`, `expires_at` and `lane`, which begin at this index.
    pub(in crate::embedded) fn from_columns(row: &Row<'_>, first: usize) -> rusqlite::Result<Self> {
        let expires_at: Option<TimeColumn> = row.get(first + 4)?;
        Ok(Self {
            row_number: row.get(first)?,
            turns: row.get(first + 1)?,
            bytes: row.get(first + 2)?,
            next_seq: row.get(first + 3)?,
            expires_at: expires_at.map(|TimeColumn(at)| at),
            lane: row.get(first + 5)?,
        })
    }

    /// Whether the session has expired at this time.
    pub(super) fn has_expired(&self, at: TimeMs) -> bool {
        self.expires_at.is_some_and(|expires_at| expires_at <= at)
    }
}
