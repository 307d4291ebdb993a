//! Reports to the accounts of a provider how a call ended. The account decides whether a failed call spends a try.

use forebay_runtime::lanes::ProviderWait;
use forebay_shared::{
    account::{AccountEvent, ClosedBy, Refusal, ReportedLimits},
    ids::JobId,
    job::JobError,
    store::RunInputs,
    time::TimeMs,
};

use super::{
    call_outcome::CallOutcome,
    claimed_job::ClaimedJob,
    permit::{self, Permission, PermittedCall},
};
use crate::{
    provider::{Failure, Fault, Retry},
    worker_context::WorkerContext,
};

/// A call whose end is reported.
pub(super) struct ReportedCall {
    job: JobId,
    call: PermittedCall,
    /// When the call started, by the store's clock.
    started_at: TimeMs,
}

impl ReportedCall {
    /// Begins the call of a claimed job. Takes the permits if they were not taken before the claim. Returns `None` if the
    /// model has no provider.
    ///
    /// # Errors
    /// The outcome of the attempt, a deferral, if an account has no permit.
    pub(super) async fn begin(
        worker: &WorkerContext,
        job: &ClaimedJob,
        run_inputs: &RunInputs,
        permission: Permission,
    ) -> Result<Option<Self>, CallOutcome> {
        let call = match permission.call {
            Some(call) => call,
            None => {
                let Some(accounts) = worker.providers.accounts_of(&run_inputs.meta.model) else {
                    return Ok(None);
                };
                match permit::take(worker, accounts, &permission.brought).await {
                    Ok(call) => call,
                    Err(denied) => {
                        return Err(CallOutcome::Deferred(Box::new(permit::provider_wait(
                            denied,
                        ))));
                    }
                }
            }
        };
        Ok(Some(Self {
            job: job.job,
            call,
            started_at: worker.member.store.now(),
        }))
    }

    /// Reports that the call was not made.
    pub(super) async fn not_called(self) {
        self.call.permits.not_used().await;
    }

    /// Reports the end of the call. Returns its outcome, or a deferral if the failure spends no try.
    pub(super) async fn report(self, worker: &WorkerContext, outcome: CallOutcome) -> CallOutcome {
        let wait = match &outcome {
            CallOutcome::Answered(result) => {
                let usage = result.answer.usage.as_ref();
                let tokens = usage.map_or(0, |usage| {
                    usage.input_tokens.saturating_add(usage.output_tokens)
                });
                self.answered(worker, tokens, result.answer.limits.as_deref());
                None
            }
            // Without a provider, no call was made.
            CallOutcome::Failed {
                failure,
                provider: Some(_),
            } => self.failed(worker, failure).await,
            // No call was made, or it was dropped. If it was the probe, the next probe may start at once.
            _ => {
                self.call.permits.not_used().await;
                return outcome;
            }
        };
        self.call.permits.end().await;
        match wait {
            Some(wait) => CallOutcome::Deferred(Box::new(wait)),
            None => outcome,
        }
    }

    fn answered(&self, worker: &WorkerContext, tokens: u64, limits: Option<&ReportedLimits>) {
        let accounts = &worker.member.accounts;
        let limited = self.call.accounts.rate_limited();
        for key in self.call.accounts.keys() {
            let limits = limits.copied().filter(|_| key == limited);
            accounts.answered(key, self.started_at, tokens, limits);
        }
    }

    async fn failed(&self, worker: &WorkerContext, failure: &Failure) -> Option<ProviderWait> {
        let error = JobError {
            detail: None,
            ..failure.error.clone()
        };
        let (account, event) = match failure.fault {
            Fault::Call => {
                // The provider answered, so it can be called.
                let is_final = matches!(failure.retry, Retry::Never | Retry::LessContext);
                if is_final && failure.is_answer {
                    self.answered(worker, 0, failure.limits.as_deref());
                }
                return None;
            }
            Fault::RateLimit => (
                self.call.accounts.rate_limited(),
                self.refused(ClosedBy::RateLimit, failure, error.clone()),
            ),
            Fault::Unavailable => (
                &self.call.accounts.provider,
                self.refused(ClosedBy::Unavailable, failure, error.clone()),
            ),
            Fault::Server => (
                &self.call.accounts.provider,
                AccountEvent::ServerError {
                    job: self.job,
                    started_at: self.started_at,
                    error: error.clone(),
                    random: rand::random(),
                },
            ),
        };
        let provider = &self.call.accounts.provider;
        if failure.fault == Fault::RateLimit && account != provider {
            // The provider answered, so it can be called.
            let accounts = &worker.member.accounts;
            accounts.answered(provider, self.started_at, 0, None);
        }
        let applied = worker.member.accounts.apply(account, event).await;
        let spares_try = match applied {
            Ok(decision) => decision.spares_try,
            Err(store_error) => {
                tracing::warn!(%account, error = %store_error, "a refused call could not be reported to the provider's account");
                // The provider did not work on the call, so the job may wait even if no account closes.
                matches!(failure.fault, Fault::RateLimit | Fault::Unavailable)
            }
        };
        spares_try.then(|| ProviderWait {
            account: permit::waited_for(worker, &self.call.accounts).clone(),
            error,
        })
    }

    fn refused(&self, cause: ClosedBy, failure: &Failure, error: JobError) -> AccountEvent {
        let retry_after_ms = match failure.retry {
            Retry::AfterMs(ms) => Some(ms),
            Retry::Backoff | Retry::Never | Retry::LessContext => None,
        };
        AccountEvent::Refused(Refusal {
            cause,
            started_at: self.started_at,
            retry_after_ms,
            limits: failure.limits.as_deref().copied(),
            error,
            random: rand::random(),
        })
    }
}
