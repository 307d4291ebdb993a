//! Reports to the accounts of a provider how a call ended. The account decides whether a failed call spends a try.

use forebay_runtime::lanes::ProviderWait;
use forebay_shared::{
    account::{AccountEvent, ClosedBy, Refusal, ReportedLimits},
    ids::JobId,
    job::JobError,
    store::{RunInputs, StoreError},
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

/// A call whose end must be reported to its accounts.
pub(super) struct ReportedCall {
    job: JobId,
    /// How many earlier attempts of the job spent no try.
    spared_tries: u32,
    call: PermittedCall,
    /// When the call started, by the store's clock.
    started_at: TimeMs,
}

impl ReportedCall {
    /// Begins the call of a claimed job. Takes the permits if they were not taken before the claim. Returns `None` if the
    /// model has no provider.
    ///
    /// # Errors
    /// A deferral, as the outcome of the attempt, if an account grants no permit.
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
                match permit::take(worker, accounts, &permission.from_wake).await {
                    Ok(call) => call,
                    Err(denied) => {
                        let wait = permit::provider_wait(denied);
                        return Err(CallOutcome::Deferred(Box::new(wait)));
                    }
                }
            }
        };
        Ok(Some(Self {
            job: job.job,
            spared_tries: job.attempt.saturating_sub(1 + job.tries),
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
                self.answered(worker, Some(tokens), result.answer.limits.as_deref());
                None
            }
            // `provider` is set, so the call was made.
            CallOutcome::Failed {
                failure,
                provider: Some(_),
            } => self.failed(worker, failure).await,
            // The provider may have worked on the call.
            CallOutcome::Dropped { .. } | CallOutcome::Interrupted => {
                self.call.permits.end_unanswered().await;
                return outcome;
            }
            // No call was made. If the permit was for the probe of a closed account, the next probe may start at once.
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

    fn answered(
        &self,
        worker: &WorkerContext,
        tokens: Option<u64>,
        limits: Option<&ReportedLimits>,
    ) {
        let accounts = &worker.member.accounts;
        let limited = self.call.accounts.rate_limited();
        for key in self.call.accounts.keys() {
            let limits = limits.copied().filter(|_| key == limited);
            accounts.answered(key, self.started_at, tokens, limits);
        }
    }

    /// Reports a failed call. Returns what the job waits for if the failure spends no try.
    async fn failed(&self, worker: &WorkerContext, failure: &Failure) -> Option<ProviderWait> {
        let error = JobError {
            detail: None,
            ..failure.error.clone()
        };
        let (account, event) = match failure.fault {
            // The call was not made. `PreparedCall` repeats it, and never returns this failure.
            Fault::OutOfFiles => return None,
            Fault::Call => {
                // The provider answered and refused the call, so it can be called. A failure after which a retry can help, such as
                // a timeout (504), does not show this.
                let is_final = matches!(failure.retry, Retry::Never | Retry::LessContext);
                if is_final && failure.is_answer {
                    self.answered(worker, None, failure.limits.as_deref());
                }
                return None;
            }
            Fault::RateLimit => (
                self.call.accounts.rate_limited(),
                self.refused(ClosedBy::RateLimit, None, failure, error.clone()),
            ),
            Fault::Unavailable => {
                let account = &self.call.accounts.provider;
                // Without an answer, the provider could not be reached. This is no sign of an overload.
                let is_overload = failure.is_answer;
                let calls = is_overload.then(|| worker.member.accounts.calls_in_flight(account));
                (
                    account,
                    self.refused(ClosedBy::Unavailable, calls, failure, error.clone()),
                )
            }
            Fault::Server => (
                &self.call.accounts.provider,
                AccountEvent::ServerError {
                    job: self.job,
                    taken_at: self.taken_at(),
                    error: error.clone(),
                    random: rand::random(),
                },
            ),
        };
        let provider = &self.call.accounts.provider;
        if failure.fault == Fault::RateLimit && account != provider {
            // The provider answered, so it can be called.
            let accounts = &worker.member.accounts;
            accounts.answered(provider, self.started_at, None, None);
        }
        let applied = worker.member.accounts.apply(account, event).await;
        let spares_try = match applied {
            Ok(decision) => decision.spares_try,
            Err(store_error) => {
                tracing::warn!(%account, error = %store_error, "a failed call could not be reported to the provider's account");
                // A provider that refused a call did not work on it, so the job waits and spends no try. But if the store is
                // full, the account never closes. Then only the pause between two tries prevents a loop of calls.
                !matches!(store_error, StoreError::Full)
                    && matches!(failure.fault, Fault::RateLimit | Fault::Unavailable)
            }
        };
        // Without this bound, jobs that always fail could close the account again and again while other jobs succeed, and
        // never spend a try.
        let is_spared_too_often =
            failure.fault == Fault::Server && self.spared_tries >= worker.settings.tries_max;
        (spares_try && !is_spared_too_often).then(|| ProviderWait {
            account: permit::waited_for(worker, &self.call.accounts).clone(),
            error,
        })
    }

    /// When the permits were taken, by the store's clock. The wake and the claim take some time, so the account may have closed
    /// between the permits and the start of the call. The failure of such a call is no reason to close it for longer.
    fn taken_at(&self) -> TimeMs {
        self.call.permits.taken_at().min(self.started_at)
    }

    fn refused(
        &self,
        cause: ClosedBy,
        overload_calls: Option<u32>,
        failure: &Failure,
        error: JobError,
    ) -> AccountEvent {
        let retry_after_ms = match failure.retry {
            Retry::AfterMs(ms) => Some(ms),
            Retry::Backoff | Retry::Never | Retry::LessContext => None,
        };
        AccountEvent::Refused(Refusal {
            cause,
            taken_at: self.taken_at(),
            overload_calls,
            retry_after_ms,
            limits: failure.limits.as_deref().copied(),
            error,
            random: rand::random(),
        })
    }
}
