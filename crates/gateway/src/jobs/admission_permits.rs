//! What a job needs to be admitted: a reservation in the backlog, and a permit of its tenant if the tenant has a limit on live jobs.

use std::{sync::Arc, time::Duration};

use forebay_runtime::lanes::{Applied, LaneChange, LaneError};
use forebay_shared::{lane::Refused, store::StoreError};
use forebay_telemetry::task_context;

use crate::{
    admission::Reservation,
    problem::Problem,
    state::ApiState,
    tenant_limits::{Limited, LivePermit},
};

/// The reservation and the permit of a job. Dropping them gives them back if no commit has begun.
#[must_use]
pub(super) struct AdmissionPermits<'a> {
    backlog: Reservation<'a>,
    live: Option<LivePermit>,
}

impl<'a> AdmissionPermits<'a> {
    /// Takes the reservation and the permit for a job of this model.
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

    /// Makes the change that admits the job.
    pub(super) async fn apply(
        mut self,
        state: &ApiState,
        change: LaneChange,
        time_limit: Duration,
    ) -> Result<Applied, LaneError> {
        self.backlog.begin_commit();
        let Some(mut live) = self.live.take() else {
            return state.member.lanes.apply(change, time_limit).await;
        };
        live.begin_commit();
        let member = Arc::clone(&state.member);
        let applying = async move {
            let applied = member.lanes.apply(change, time_limit).await;
            match &applied {
                // The commit may still take effect, so the outcome stays unknown.
                Err(LaneError::Store(StoreError::Unavailable(_))) => {}
                Err(LaneError::Refused(Refused::Full | Refused::Busy)) => live.commit_refused(),
                // An earlier attempt of this commit may have admitted the job even if the last one failed.
                Ok(_) | Err(_) => live.commit_ended(),
            }
            applied
        };
        // Runs in a task of its own, so that the outcome becomes known even if the client disconnects.
        let context = task_context::current();
        let applying = tokio::spawn(task_context::scope(context, applying));
        let panicked = |_| LaneError::Store(StoreError::Unavailable(None));
        applying.await.unwrap_or_else(|error| Err(panicked(error)))
    }
}
