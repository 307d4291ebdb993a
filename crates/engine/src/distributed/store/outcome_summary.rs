//! The summary of an outcome: how the job ended, without its reply. The rules need it for an event about a job that is no longer
//! in its lane. It is the field `mark` of a job's record; the name is from an early release.

use forebay_shared::{lane::OutcomeSummary, store::StoreError};
use serde_json::Value;

use crate::{rejection::broken_data, rows::OutcomeRow};

/// Writes the summary of an outcome.
pub(super) fn write(outcome: &OutcomeRow) -> Result<String, StoreError> {
    let summary = (outcome.status, outcome.fence, outcome.settled_fence);
    serde_json::to_string(&summary).map_err(broken_data)
}

/// Reads a summary.
pub(super) fn read(bytes: &[u8]) -> Result<OutcomeSummary, StoreError> {
    // A newer release may have appended values.
    let values: Vec<Value> = serde_json::from_slice(bytes).map_err(broken_data)?;
    let known: Value = values.into_iter().take(3).collect();
    let (status, fence, settled_fence) = serde_json::from_value(known).map_err(broken_data)?;
    Ok(OutcomeSummary {
        status,
        fence,
        settled_fence,
    })
}
