//! What a job needs to be admitted: a permit of its tenant, if the tenant has a limit, and a position in the backlog.

use forebay_runtime::lanes::{Applied, LaneError};
use forebay_shared::{lane::Refused, store::StoreError};

use crate::{
    admission::Reservation,
    problem::Problem,
    state::ApiState,
    tenant_limits::{Limited, LivePermit},
};

/// The permits of a job. Dropping them gives them back if no commit has begun.
#[must_use]
pub(super) struct AdmissionPermits<'a> {
    backlog: Reservation<'a>,
    live: Option<LivePermit>,
}

impl<'a> AdmissionPermits<'a> {
    /// Takes the permits for a job of this model.
    pub(super) async fn take(
        state: &'a ApiState,
        limited: &Limited,
        model: &str,
    ) -> Result<Self, Problem> {
        let live = limited.live_permit().await?;
        let accounts = || state.settings.model_accounts.of(model);
        let backlog = state.admission.reserve(&state.member, accounts)?;
        Ok(Self { backlog, live })
    }

    /// Records that the commit of the job begins.
    pub(super) fn begin_commit(&mut self) {
        self.backlog.use_up();
        if let Some(live) = &mut self.live {
            live.begin_commit();
        }
    }

    /// Records how the commit ended.
    pub(super) fn commit_ended(mut self, applied: &Result<Applied, LaneError>) {
        let Some(live) = &mut self.live else { return };
        match applied {
            // The commit may still take effect.
            Err(LaneError::Store(StoreError::Unavailable(_))) => {}
            Err(LaneError::Refused(Refused::Full | Refused::Busy)) => live.commit_refused(),
            // An earlier attempt of this commit may have admitted the job even if the last one failed.
            Ok(_) | Err(_) => live.commit_ended(),
        }
    }
}
