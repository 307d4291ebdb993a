//! `POST /v1/jobs/{id}/cancel`: gives a job up, waiting or running. The lane tells the worker that calls.

use std::sync::Arc;

use axum::{
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
    response::Response,
};
use forebay_runtime::lanes::{Change, LaneError};
use forebay_shared::{job::Status, lane::Refused, store::JobState};

use super::{get::id, view};
use crate::{
    api::Api,
    patience::PATIENCE,
    problem::{Code, Problem},
};

/// Cancels a job.
pub(crate) async fn post(
    State(api): State<Arc<Api>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let id = id(path)?;
    let record = api.read_job(id).await?.ok_or_else(Problem::job_not_found)?;
    if let JobState::Ended(outcome) = &record.state {
        return Err(finished(outcome.status));
    }
    let change = Change::cancel(record.meta.lane(), id);
    match api.member.lanes.apply(change, PATIENCE).await {
        Ok(_) => tracing::debug!(job_id = %id, "a job was cancelled"),
        // It has ended since it was read: what it came to decides.
        Err(LaneError::Refused(Refused::Gone)) => {}
        Err(error) => return Err(Problem::from_lane(&error)),
    }
    let record = api.read_job(id).await?.ok_or_else(Problem::job_not_found)?;
    match &record.state {
        // Cancelled by this request, by another at the same moment, or by a first try of this one
        // whose answer was lost: what was asked for is so.
        JobState::Ended(outcome) if outcome.status == Status::Cancelled => {
            Ok(view::respond(StatusCode::OK, view::stored(&record)?))
        }
        JobState::Ended(outcome) => Err(finished(outcome.status)),
        // Ended, and admitted again under its id in the same moment.
        JobState::Live(_) => {
            Err(Problem::new(Code::Overloaded, "the job was just made to run again").retry_after(1))
        }
    }
}

fn finished(status: Status) -> Problem {
    Problem::new(Code::JobFinished, format!("the job is {status}"))
}
