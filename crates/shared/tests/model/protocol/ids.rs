//! The ids of the jobs and processes of a world, and the model's numbers for them.

use forebay_shared::ids::{JobId, ProcessId, TenantId};

use crate::state::JOBS;

/// The model's number of a job.
pub(crate) fn job_number(job: JobId) -> u8 {
    (0..JOBS as u8)
        .find(|n| job_id(*n) == job)
        .expect("a job of this world")
}

pub(super) fn job_id(n: u8) -> JobId {
    JobId::from_uuid(
        uuid::Uuid::from_u128(u128::from(n)),
        &TenantId::default(),
        None,
    )
}

pub(super) fn process_id(n: u8) -> ProcessId {
    ProcessId::parse(&format!("process-{n}")).expect("a valid name")
}
