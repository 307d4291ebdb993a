//! A page of jobs as the API shows it.

use forebay_shared::{store::FoundJob, time::TimeMs};
use schemars::JsonSchema;
use serde::Serialize;

use super::view::{JobView, position_of};
use crate::{auth::Caller, problem::Problem, problem_code::ProblemCode, state::ApiState};

/// A page of jobs.
#[derive(Serialize, JsonSchema)]
pub(crate) struct JobList<'a> {
    #[schemars(extend("const" = "list"))]
    object: &'static str,
    data: Vec<JobView<'a>>,
    /// The `cursor` of the next page; null after the last job.
    next_cursor: Option<String>,
}

/// The JSON of a page of jobs.
pub(super) fn list(
    state: &ApiState,
    caller: &Caller,
    jobs: &[FoundJob],
    next_cursor: Option<String>,
) -> Result<Vec<u8>, Problem> {
    let show = |time: TimeMs| state.show(time);
    let data = jobs.iter().map(|job| match job {
        FoundJob::Record(record) => {
            JobView::stored(record, position_of(state, caller, record), &show)
        }
        FoundJob::LargeOutcome { meta, status, .. } => JobView::partial(meta, *status, &show),
    });
    let list = JobList {
        object: "list",
        data: data.collect(),
        next_cursor,
    };
    serde_json::to_vec(&list).map_err(|error| {
        tracing::error!(%error, "a list of jobs could not be written as JSON");
        let detail = "the list could not be written as JSON";
        Problem::new(ProblemCode::Internal, detail)
    })
}
