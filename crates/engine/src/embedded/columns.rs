//! Conversions between the types of the domain and SQLite's columns. Names and states are stored as text, times as
//! milliseconds, and the ids of jobs as bytes that sort by time.

use forebay_shared::{
    class::Class,
    ids::{JobId, LaneKey},
    job::Status,
    store::LaneVersion,
    time::TimeMs,
};
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

/// A number as SQLite's signed integer. A number that does not fit becomes `i64::MAX`. No real time or size is that
/// large.
pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A size as SQLite's signed integer. A size that does not fit becomes `i64::MAX`.
pub(super) fn size(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// An unsigned number from a column. A negative number becomes 0.
pub(super) fn u64_or_zero(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// A time in a column, in milliseconds since the Unix epoch.
pub(super) struct TimeColumn(pub(super) TimeMs);

impl ToSql for TimeColumn {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(int(self.0.0).into())
    }
}

impl FromSql for TimeColumn {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_i64().map(|ms| Self(TimeMs(u64_or_zero(ms))))
    }
}

/// A name in a column. A read of the column checks that the name is valid.
pub(super) struct NameColumn<T>(pub(super) T);

impl<T> FromSql for NameColumn<T>
where
    T: TryFrom<String>,
    T::Error: std::error::Error + Send + Sync + 'static,
{
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let text = value.as_str()?.to_owned();
        T::try_from(text).map(Self).map_err(FromSqlError::other)
    }
}

/// A job's id in a column, as bytes that sort by time. Jobs of the same time are close to each other in the B-tree, so
/// writing or deleting them changes few pages.
pub(super) struct JobIdColumn(pub(super) JobId);

impl ToSql for JobIdColumn {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.to_bytes().to_vec().into())
    }
}

impl FromSql for JobIdColumn {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let bytes = value.as_blob()?.try_into();
        bytes
            .map(|bytes| Self(JobId::from_bytes(bytes)))
            .map_err(FromSqlError::other)
    }
}

/// A lane's key in a column. `None` if this release cannot read it: a newer release may have written it.
pub(super) struct LaneKeyColumn(pub(super) Option<LaneKey>);

impl FromSql for LaneKeyColumn {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Ok(Self(LaneKey::parse(value.as_str()?).ok()))
    }
}

/// The first `limit` rows that are not `None`. A row is `None` if this release cannot read the key of its lane. Such rows are
/// skipped, so that they hide no others.
pub(super) fn first_readable<T>(
    rows: impl Iterator<Item = rusqlite::Result<Option<T>>>,
    limit: usize,
) -> rusqlite::Result<Vec<T>> {
    rows.filter_map(Result::transpose).take(limit).collect()
}

/// The version of a lane (in the column `token`), of the set of API keys, or of the limits of tenants.
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
pub(super) struct ClassColumn(pub(super) Class);

impl FromSql for ClassColumn {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let text = value.as_str()?;
        let class = Class::ALL.into_iter().find(|class| class.as_str() == text);
        class.map(Self).ok_or(FromSqlError::InvalidType)
    }
}

/// The status of an ended job in a column.
pub(super) struct EndedStatusColumn(pub(super) Status);

impl FromSql for EndedStatusColumn {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        const ENDED: [Status; 4] = [
            Status::Completed,
            Status::Failed,
            Status::Cancelled,
            Status::Expired,
        ];
        let text = value.as_str()?;
        let status = ENDED.into_iter().find(|status| status.as_str() == text);
        status.map(Self).ok_or(FromSqlError::InvalidType)
    }
}
