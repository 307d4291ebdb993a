//! `POST /v1/jobs/{id}/cancel`: cancels a job, queued or running. The commit of the cancel notifies the
//! worker that runs the job.

use std::sync::Arc;

use axum::{
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
    response::Response,
};
use forebay_runtime::lanes::{LaneChange, LaneError};
use forebay_shared::{
    ids::JobId,
    job::Status,
    lane::Refused,
    store::{JobRecord, JobState},
};

use super::view;
use crate::{
    path_ids::job_id,
    problem::Problem,
    problem_code::ProblemCode,
    state::ApiState,
    store_call::{STORE_TIMEOUT, lane_problem},
};

/// Cancels a job.
pub(crate) async fn post(
    State(state): State<Arc<ApiState>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let id = job_id(path)?;
    let record = read_existing(&state, id).await?;
    if let JobState::Ended(outcome) = &record.state {
        return Err(already_ended(outcome.status));
    }
    let change = LaneChange::cancel(record.meta.lane(), id);
    match state.member.lanes.apply(change, STORE_TIMEOUT).await {
        Ok(_) => tracing::debug!(job_id = %id, "job cancelled"),
        // The job has ended after it was read. Its outcome decides below.
        Err(LaneError::Refused(Refused::Gone)) => {}
        Err(error) => return Err(lane_problem(&error)),
    }
    let record = read_existing(&state, id).await?;
    match &record.state {
        // Success, even if another request cancelled the job. The client may be repeating a request whose response was
        // lost.
        JobState::Ended(outcome) if outcome.status == Status::Cancelled => {
            Ok(view::respond(StatusCode::OK, view::stored_job(&record)?))
        }
        JobState::Ended(outcome) => Err(already_ended(outcome.status)),
        // The job ended and was admitted again under its id (a repair) at the same moment.
        JobState::Live(_) => {
            let detail = "the job was restarted at the same moment";
            Err(Problem::new(ProblemCode::Overloaded, detail).retry_after(1))
        }
    }
}

async fn read_existing(state: &ApiState, id: JobId) -> Result<JobRecord, Problem> {
    state.read_job(id).await?.ok_or_else(Problem::job_not_found)
}

fn already_ended(status: Status) -> Problem {
    Problem::new(ProblemCode::JobFinished, format!("the job is {status}"))
}
