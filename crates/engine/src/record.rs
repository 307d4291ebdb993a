//! Builds a job's record from the documents that an engine stores.

use forebay_shared::{
    document,
    ids::JobId,
    job::JobMeta,
    lane::Lane,
    store::{JobRecord, JobState, LiveJob, StoreError},
};

use crate::rejection::broken_data;

/// The job has neither an entry in a lane nor an outcome. Either another program changed the data, or a Redis replica
/// took over without the newest writes.
#[derive(Debug, thiserror::Error)]
#[error("the record of {0} has neither an entry in a lane nor an outcome")]
struct OrphanRecord(JobId);

/// Builds a record. `meta` and `outcome` are JSON. `lane` is the job's lane, which is used only if there is no outcome.
pub(crate) fn read(
    meta: &[u8],
    outcome: Option<&[u8]>,
    lane: Option<Lane>,
) -> Result<JobRecord, StoreError> {
    let meta: JobMeta = document::read(meta)?;
    let state = match outcome {
        Some(outcome) => JobState::Ended(document::read(outcome)?),
        None => {
            let live = lane.and_then(|lane| LiveJob::of(&lane, meta.id));
            JobState::Live(live.ok_or_else(|| broken_data(OrphanRecord(meta.id)))?)
        }
    };
    Ok(JobRecord { meta, state })
}
