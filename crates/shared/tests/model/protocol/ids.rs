//! Converts between the model's numbers of jobs and processes and real ids.

use forebay_shared::ids::{JobId, ProcessId, TenantId};

use crate::state::JOBS;

/// The model's number of a job.
pub(crate) fn job_number(job: JobId) -> u8 {
    (0..JOBS as u8)
        .find(|number| job_id(*number) == job)
        .expect("the id belongs to a job of this configuration")
}

pub(super) fn job_id(number: u8) -> JobId {
    JobId::from_uuid(
        uuid::Uuid::from_u128(u128::from(number)),
        &TenantId::default(),
        None,
    )
}

pub(super) fn process_id(number: u8) -> ProcessId {
    ProcessId::parse(&format!("process-{number}")).expect("the text is a valid process id")
}
