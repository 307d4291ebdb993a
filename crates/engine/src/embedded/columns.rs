//! Domain types in columns: names and states as text, times as milliseconds, the ids of jobs as bytes that sort by
//! time.

use forebay_shared::{
    class::Class,
    ids::{JobId, LaneKey},
    job::Status,
    store::LaneVersion,
    time::TimeMs,
};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

/// A number for SQLite. A larger one than SQLite can hold becomes `i64::MAX`; no time or size is that large.
pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A size for SQLite.
pub(super) fn size(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number from a column that is never negative.
pub(super) fn natural(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// A moment in a column.
pub(super) struct At(pub(super) TimeMs);

impl ToSql for At {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(int(self.0.0).into())
    }
}

impl FromSql for At {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_i64().map(|ms| Self(TimeMs(natural(ms))))
    }
}

/// A name in a column. The read checks its form.
pub(super) struct Name<T>(pub(super) T);

impl<T> FromSql for Name<T>
where
    T: TryFrom<String>,
    T::Error: std::error::Error + Send + Sync + 'static,
{
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let text = value.as_str()?.to_owned();
        T::try_from(text).map(Self).map_err(FromSqlError::other)
    }
}

/// A job's id in a column. Ids sort by time, so jobs that are written together are on few pages of the B-tree.
pub(super) struct Id(pub(super) JobId);

impl ToSql for Id {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.to_bytes().to_vec().into())
    }
}

impl FromSql for Id {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let bytes = value.as_blob()?.try_into();
        bytes
            .map(|bytes| Self(JobId::from_bytes(bytes)))
            .map_err(FromSqlError::other)
    }
}

/// A lane's key in a column.
pub(super) struct Key(pub(super) LaneKey);

impl FromSql for Key {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        LaneKey::parse(value.as_str()?)
            .map(Self)
            .map_err(FromSqlError::other)
    }
}

/// The version of a lane in a column.
pub(super) struct VersionColumn(pub(super) LaneVersion);

impl ToSql for VersionColumn {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.as_bytes().as_slice().into())
    }
}

impl FromSql for VersionColumn {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        LaneVersion::from_slice(value.as_blob()?)
            .map(Self)
            .map_err(FromSqlError::other)
    }
}

/// A job's class in a column.
pub(super) struct InClass(pub(super) Class);

impl FromSql for InClass {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let text = value.as_str()?;
        let class = Class::ALL.into_iter().find(|class| class.as_str() == text);
        class.map(Self).ok_or(FromSqlError::InvalidType)
    }
}

/// A terminal state in a column.
pub(super) struct EndedStatus(pub(super) Status);

impl FromSql for EndedStatus {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        const TERMINAL: [Status; 4] = [
            Status::Completed,
            Status::Failed,
            Status::Cancelled,
            Status::Expired,
        ];
        let text = value.as_str()?;
        let status = TERMINAL.into_iter().find(|status| status.as_str() == text);
        status.map(Self).ok_or(FromSqlError::InvalidType)
    }
}
