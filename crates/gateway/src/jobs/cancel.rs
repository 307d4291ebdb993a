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
    ids::{JobId, TenantId},
    job::Status,
    lane::Refused,
    store::{FoundJob, JobRecord, JobState},
};

use super::view;
use crate::{
    auth::Caller,
    path_ids::job_id,
    problem::Problem,
    problem_code::ProblemCode,
    state::ApiState,
    store_call::{STORE_TIMEOUT, lane_problem},
};

/// Cancels a job.
pub(crate) async fn post(
    State(state): State<Arc<ApiState>>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let id = job_id(path)?;
    let record = match ended_or_live(&state, caller.tenant(), id).await? {
        Found::Ended(status) => return Err(already_ended(status)),
        Found::Live(record) => record,
    };
    let change = LaneChange::cancel(record.meta.lane(), id);
    match state.member.lanes.apply(change, STORE_TIMEOUT).await {
        Ok(_) => tracing::debug!(job_id = %id, "job cancelled"),
        // The job has ended since it was read. It is read again below, and its status decides the response.
        Err(LaneError::Refused(Refused::Gone)) => {}
        Err(error) => return Err(lane_problem(&error)),
    }
    match ended_or_live(&state, caller.tenant(), id).await? {
        // This is a success even if another request cancelled the job at the same moment.
        Found::Ended(Status::Cancelled) => {
            let job = state.read_job(caller.tenant(), id).await?;
            let job = job.ok_or_else(Problem::job_not_found)?;
            view::respond_job(&state, &caller, StatusCode::OK, job)
        }
        Found::Ended(status) => Err(already_ended(status)),
        // The job ended and was admitted again under its id (a repair) at the same moment.
        Found::Live(_) => {
            let detail = "the job was restarted at the same moment";
            Err(Problem::new(ProblemCode::Overloaded, detail).retry_after(1))
        }
    }
}

/// A job, without its outcome.
enum Found {
    Live(Box<JobRecord>),
    Ended(Status),
}

/// Finds a job. A large outcome is not read, because it would need memory.
async fn ended_or_live(state: &ApiState, tenant: &TenantId, id: JobId) -> Result<Found, Problem> {
    let found = state.find_job(tenant, id).await?;
    Ok(match found.ok_or_else(Problem::job_not_found)? {
        FoundJob::LargeOutcome { status, .. } => Found::Ended(status),
        FoundJob::Record(record) => match &record.state {
            JobState::Ended(outcome) => Found::Ended(outcome.status),
            JobState::Live(_) => Found::Live(record),
        },
    })
}

fn already_ended(status: Status) -> Problem {
    Problem::new(ProblemCode::JobFinished, format!("the job is {status}"))
}
