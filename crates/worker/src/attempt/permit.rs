//! Takes the permits of a call from its accounts, and defers the job of a wake that gets no permit.

use std::time::Duration;

use forebay_metrics::worker::ClaimOutcome;
use forebay_runtime::{
    accounts::{CallPermits, Denied, HeldPermit},
    lanes::{LaneChange, LaneError, ProviderWait},
};
use forebay_shared::{
    account::AccountKey,
    job::JobError,
    queue::Delivery,
    store::StoreError,
    wake::{Wake, WakePermit},
};
use tokio::time::sleep;

use super::wake_end::WakeEnd;
use crate::{
    provider::{CallAccounts, Failure},
    worker_context::WorkerContext,
};

/// The timeout of one deferral.
const DEFER_TIMEOUT: Duration = Duration::from_secs(5);
/// The delay before the requeue of a message whose job could not be deferred.
const REQUEUE_DELAY: Duration = Duration::from_millis(500);

/// A call that may be made.
pub(super) struct PermittedCall {
    /// The accounts of the call.
    pub(super) accounts: CallAccounts,
    /// Their permits.
    pub(super) permits: CallPermits,
}

/// The permits that a job has when it is claimed.
pub(super) struct Permission {
    /// The permitted call. `None` if the wake names no model, or a model without a provider. Then the permits are taken after
    /// the claim, which reads the model.
    pub(super) call: Option<PermittedCall>,
    /// What the wake carried for its call.
    pub(super) from_wake: WakePermission,
}

/// What a wake carried for its call.
pub(super) struct WakePermission {
    /// Whether the sweeper resumed the job, so that it was the next of the waiting jobs.
    is_resumed: bool,
    /// The permit that came with the wake, if it is still valid.
    held: Option<HeldPermit>,
}

/// Takes the permits for the job of a wake. `is_permit_spent` is whether the permit that came with the wake was used
/// or given back already.
///
/// # Errors
/// The account that the job must wait for, and why.
pub(super) async fn of_wake(
    worker: &WorkerContext,
    wake: &Wake,
    is_permit_spent: bool,
) -> Result<Permission, Denied> {
    let age_ms = worker.member.store.now().since_ms(wake.sent_at);
    let is_resumed = wake.permit.is_some();
    let unused = wake.permit.clone().filter(|_| !is_permit_spent);
    let mut held = unused.map(|permit| HeldPermit {
        permit,
        taken_at: wake.sent_at,
    });
    if age_ms >= WakePermit::VALID_MS
        && let Some(expired) = held.take()
    {
        worker
            .member
            .accounts
            .give_back_for_wakes(&expired, 1)
            .await;
    }
    let model = wake.model.as_ref();
    let accounts = model.and_then(|model| worker.providers.accounts_of(model));
    let from_wake = WakePermission { is_resumed, held };
    let call = match accounts {
        Some(accounts) => Some(take(worker, accounts, &from_wake).await?),
        None => None,
    };
    Ok(Permission { call, from_wake })
}

/// Takes the permits of a call. A permit that came with the wake is given back if the call is denied.
///
/// # Errors
/// The account that the job must wait for, and why.
pub(super) async fn take(
    worker: &WorkerContext,
    accounts: CallAccounts,
    from_wake: &WakePermission,
) -> Result<PermittedCall, Denied> {
    // The account of the model comes first. If both accounts deny the call, the job shows this account's error.
    let keys = || accounts.model.iter().chain([&accounts.provider]);
    let member = &worker.member;
    // A newer job must wait behind the jobs that wait already, even if the account has a permit now. A resumed job has waited,
    // so it takes a new permit if its own has expired.
    let limited = keys().find(|key| member.accounts.is_limited(key));
    let has_older = || keys().any(|key| member.gauge.has_deferred(key));
    let taken = match limited {
        Some(limited) if !from_wake.is_resumed && has_older() => {
            Err(member.accounts.denied(limited))
        }
        _ => member.accounts.take(keys(), from_wake.held.as_ref()).await,
    };
    match taken {
        Ok(permits) => Ok(PermittedCall { accounts, permits }),
        Err(denied) => Err(Denied {
            account: waited_for(worker, &accounts).clone(),
            ..denied
        }),
    }
}

/// The account that a job waits for. If the account of the model is limited, it is this one, even if only the provider's account
/// is closed. For such a job, the sweeper takes the permits of both accounts, so the resumed job does not have to wait again.
///
/// Otherwise it is the account of the provider. If each model had its own waiting jobs, invented names of models would make the
/// sweeper search for the jobs of each of them.
pub(super) fn waited_for<'a>(worker: &WorkerContext, accounts: &'a CallAccounts) -> &'a AccountKey {
    let model = accounts.model.as_ref();
    let limited = model.filter(|model| worker.member.accounts.is_limited(model));
    limited.unwrap_or(&accounts.provider)
}

/// Defers the job of a wake that has no permit. If the store does not respond, the wake is requeued. Returns how the wake ended;
/// `None` if there is no delivery.
pub(super) async fn defer(
    worker: &WorkerContext,
    delivery: &mut Option<Delivery>,
    denied: Denied,
) -> Option<WakeEnd> {
    let wake = delivery.as_ref().map(|delivery| &delivery.wake)?;
    let job = wake.job;
    let code = denied.error.code.clone();
    let lane = wake.lane();
    let wait = provider_wait(denied);
    let defer = LaneChange::defer(lane, job, wait);
    match worker.member.lanes.apply(defer, DEFER_TIMEOUT).await {
        Ok(_) => {
            worker.member.metrics.worker.count_deferral(&code);
            Some(WakeEnd::answered(ClaimOutcome::Denied))
        }
        // The lane has changed since the wake, so there is nothing to defer.
        Err(LaneError::Refused(refused)) => {
            tracing::debug!(job_id = %job, %refused, "a wake was dropped: the job cannot be deferred now");
            Some(WakeEnd::answered(ClaimOutcome::NotDue))
        }
        Err(LaneError::Store(error @ StoreError::Broken(_))) => {
            tracing::error!(job_id = %job, %error, "a job could not be deferred; its timer leads to another attempt");
            Some(WakeEnd::answered(ClaimOutcome::Failed))
        }
        Err(error) => {
            tracing::debug!(job_id = %job, %error, "a job without a permit could not be deferred; its message is requeued");
            let is_answered = matches!(&error, LaneError::Store(error) if !error.is_transient());
            worker.stop.run_until_cancelled(sleep(REQUEUE_DELAY)).await;
            if let Some(delivery) = delivery.take() {
                delivery.requeue();
            }
            Some(if is_answered {
                WakeEnd::answered(ClaimOutcome::Failed)
            } else {
                WakeEnd::unanswered(ClaimOutcome::Failed)
            })
        }
    }
}

/// What a job waits for after it was denied a permit.
///
/// `denied` has the error of another call, perhaps of another tenant. A provider's message may quote the prompt of that call, so
/// the job gets only the code of such an error. `GET /v1/providers` shows the message. Without a connection, the message is
/// Forebay's own.
pub(super) fn provider_wait(denied: Denied) -> ProviderWait {
    let Denied { account, error } = denied;
    let message = if error.code == Failure::CONNECTION_FAILED {
        error.message
    } else {
        format!("the provider takes no calls at present ({})", error.code)
    };
    let error = JobError::new(&error.code, message);
    ProviderWait { account, error }
}

#[cfg(test)]
mod tests {
    use forebay_runtime::accounts::Denied;
    use forebay_shared::{account::AccountKey, job::JobError};

    use super::provider_wait;

    #[test]
    fn a_job_does_not_show_what_the_provider_answered_to_another_job() {
        let shown = |code| {
            let error = JobError::new(code, "could not read: my secret prompt");
            let denied = Denied {
                account: AccountKey::of_provider("main"),
                error: JobError {
                    detail: Some("my secret detail".to_owned()),
                    ..error
                },
            };
            provider_wait(denied).error
        };
        let error = shown("provider_error");
        assert_eq!(error.code, "provider_error");
        assert!(!error.message.contains("secret"), "{}", error.message);
        assert_eq!(error.detail, None);
        // Without a connection there was no answer.
        let unreachable = shown("connection_failed");
        assert_eq!(unreachable.message, "could not read: my secret prompt");
    }
}
