//! Somebody gives a job up.

use super::{
    Effects, Lane, Refused,
    edit::{self, Exit},
};
use crate::{
    ids::JobId,
    job::{JobError, Status},
    time::TimeMs,
};

pub(super) fn cancel(
    lane: &mut Lane,
    job: JobId,
    now: TimeMs,
    out: &mut Effects,
) -> Result<(), Refused> {
    let (place, _) = lane.find(job).ok_or(Refused::Gone)?;
    let error = Some(JobError::new("cancelled", "cancelled by the client"));
    // First, so that a new head does not begin under a hold that is about to end.
    edit::end_hold(lane, now, out);
    edit::remove(
        lane,
        place,
        Exit {
            status: Status::Cancelled,
            error,
            settled: None,
        },
        now,
        out,
    );
    if out.wake == Some(job) {
        out.wake = None;
    }
    Ok(())
}
