//! The permit of a job that is being admitted.

use std::sync::Arc;

use super::{permits::LiveOutcome, policy::Policy, tenant::LimitedTenant};
use crate::problem::Problem;

/// A permit for a live job. Dropping it gives the permit back, unless the commit of the job has begun.
#[must_use]
pub(crate) struct LivePermit {
    tenant: Arc<LimitedTenant>,
    outcome: LiveOutcome,
}

impl LivePermit {
    /// Takes a permit of the tenant.
    pub(super) async fn take(tenant: &Arc<LimitedTenant>) -> Result<Option<Self>, Problem> {
        if tenant.lock().limits.live_jobs.is_none() {
            return Ok(None);
        }
        let is_taken = tenant.take(Policy::Live).await?;
        Ok(is_taken.then(|| Self {
            tenant: Arc::clone(tenant),
            outcome: LiveOutcome::NotAdmitted,
        }))
    }

    /// Records that the commit of the job begins. Until its end is known, the job may be admitted.
    pub(crate) const fn begin_commit(&mut self) {
        self.outcome = LiveOutcome::Unknown;
    }

    /// Records that the commit has ended. If it has admitted the job, the job is in the store.
    pub(crate) const fn commit_ended(&mut self) {
        self.outcome = LiveOutcome::Ended;
    }

    /// Records that the commit has admitted no job.
    pub(crate) const fn commit_refused(&mut self) {
        self.outcome = LiveOutcome::NotAdmitted;
    }
}

impl Drop for LivePermit {
    fn drop(&mut self) {
        self.tenant.end_use(self.outcome);
    }
}
