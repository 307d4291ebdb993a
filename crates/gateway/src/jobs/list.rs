//! `GET /v1/jobs`: lists the tenant's jobs, sorted by their times of creation, in pages.
//!
//! The store lists positions. This module reads the jobs at these positions, and shows those that the request asks for. A page
//! ends after a bounded number of reads or a bounded time, even if it shows few jobs.

use std::{ops::RangeInclusive, sync::Arc, time::Duration};

use axum::{
    extract::{RawQuery, State},
    http::StatusCode,
    response::Response,
};
use forebay_shared::{
    job::{JobMeta, Status},
    lane,
    store::{FoundJob, JobState, ListPosition, ListQuery},
    time::TimeMs,
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use tokio::time::Instant;

use super::{
    list_query::{self, ListRequest},
    list_view, view,
};
use crate::{
    auth::Caller, problem::Problem, query_parameters::Query, reserved_body::reserved_body,
    state::ApiState, store_call,
};

/// The most bytes of an outcome in a list. Larger outcomes are left out.
const OUTCOME_BYTES_MAX: u64 = 4 * 1024;
/// The memory of a listed job: its metadata and its outcome as text, parsed, and in the response.
const BYTES_FOR_EACH_JOB: u64 = 128 * 1024;
/// The most jobs that one page reads.
const READ_MAX: usize = 500;
/// After this time a page ends, even if it has few jobs.
const PAGE_TIME_MAX: Duration = Duration::from_secs(2);
/// How many jobs are read at the same time.
const READ_AT_ONCE: usize = 8;

/// Lists jobs.
pub(crate) async fn get(
    State(state): State<Arc<ApiState>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let request = list_query::parse(Query(query.as_deref()));
    // A page reads up to 500 jobs, so few pages are read at the same time.
    let _permit = state.list_permit().await?;
    let jobs = u64::try_from(request.limit + READ_AT_ONCE).unwrap_or(u64::MAX);
    let reserved = state
        .reserve_read(jobs.saturating_mul(BYTES_FOR_EACH_JOB))
        .await?;
    let mut query = ListQuery {
        tenant: caller.tenant().clone(),
        session: request.session.clone(),
        created: created(&state, &request),
        is_oldest_first: request.is_oldest_first,
        after: request.cursor,
        limit: request.limit,
    };
    let is_filtered = query.session.is_some() || !request.statuses.is_empty();
    let (mut shown, mut read) = (Vec::new(), 0);
    let began = Instant::now();
    let next = 'batches: loop {
        // A filter may leave only few of the jobs that are read, so more positions are listed.
        query.limit = if is_filtered {
            READ_MAX - read
        } else {
            request.limit - shown.len()
        };
        let positions = store_call::with_timeout(state.member.store.list_jobs(&query)).await?;
        if positions.is_empty() {
            break None;
        }
        let mut jobs = stream::iter(positions)
            .map(|position| read_job(&state, &query, position))
            .buffered(READ_AT_ONCE);
        let mut last = query.after;
        while let Some((position, job)) = jobs.try_next().await? {
            read += 1;
            last = Some(position);
            if let Some(job) = job.filter(|job| is_requested(&request, job)) {
                shown.push(job);
            }
            let is_late = began.elapsed() >= PAGE_TIME_MAX;
            if shown.len() >= request.limit || read >= READ_MAX || is_late {
                break 'batches last;
            }
        }
        drop(jobs);
        query.after = last;
    };
    let next_cursor = next.map(list_query::write_cursor);
    let json = list_view::list(&state, &caller, &shown, next_cursor)?;
    let mut response = view::respond(StatusCode::OK, Vec::new());
    *response.body_mut() = reserved_body(vec![json], Some(reserved));
    Ok(response)
}

/// The requested times of creation by the store's clock. Users give times of the system's clock, which may have been set meanwhile.
fn created(state: &ApiState, request: &ListRequest) -> RangeInclusive<TimeMs> {
    let now = state.member.store.now();
    let shown_now = state.member.store.to_utc(now);
    let stored = |time: TimeMs| {
        let ms = time.0.saturating_add(now.0).saturating_sub(shown_now.0);
        TimeMs(ms.min(CREATED_MS_MAX))
    };
    // The range includes its bounds, but `created_after` and `created_before` are exclusive.
    let first = request.created_after.map(|time| stored(time).plus_ms(1));
    let last = request
        .created_before
        .map(|time| TimeMs(stored(time).0.saturating_sub(1)));
    first.unwrap_or_default()..=last.unwrap_or(TimeMs(CREATED_MS_MAX))
}

/// The latest time with 14 digits, because the lists of the distributed store have times of 14 digits.
const CREATED_MS_MAX: u64 = 99_999_999_999_999;

async fn read_job(
    state: &ApiState,
    query: &ListQuery,
    position: ListPosition,
) -> Result<(ListPosition, Option<FoundJob>), Problem> {
    let store = &state.member.store;
    let found = store.find_job(&query.tenant, position.job, OUTCOME_BYTES_MAX);
    match store_call::within_timeout(found).await {
        Ok(found) => Ok((position, found)),
        // One record that this release cannot read, for example because a newer release wrote it, must not hide all others.
        Err(error) if !error.is_transient() => {
            tracing::warn!(job_id = %position.job, %error, "a job is left out of a list, because its record is unreadable");
            Ok((position, None))
        }
        Err(error) => Err(store_call::store_problem(&error)),
    }
}

/// Whether a job passes the filters of the request. The store may also list jobs of other sessions.
fn is_requested(request: &ListRequest, job: &FoundJob) -> bool {
    let (meta, status) = meta_and_status(job);
    let is_in_session = request
        .session
        .as_ref()
        .is_none_or(|session| meta.session.as_ref() == Some(session));
    is_in_session && (request.statuses.is_empty() || request.statuses.contains(&status))
}

fn meta_and_status(job: &FoundJob) -> (&JobMeta, Status) {
    match job {
        FoundJob::LargeOutcome { meta, status, .. } => (meta, *status),
        FoundJob::Record(record) => {
            let status = match &record.state {
                JobState::Ended(outcome) => outcome.status,
                JobState::Live(live) => match live.entry.state {
                    lane::State::Running { .. } => Status::InProgress,
                    lane::State::Queued { .. } | lane::State::Deferred(_) => Status::Queued,
                },
            };
            (&record.meta, status)
        }
    }
}
