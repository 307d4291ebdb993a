//! A tenant with limits: requests take its permits, and wait for a call to the store if there are none.
//!
//! One call at a time is made for a tenant, in a task of its own, so the call continues if a client disconnects. All requests that wait
//! share its result. No lock is held across a wait.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use forebay_metrics::gateway::GatewayMetrics;
use forebay_runtime::member::Member;
use forebay_shared::{
    ids::{ProcessId, TenantId},
    store::{Store, StoredUsage},
    tenant_limit::TenantLimits,
    time::TimeMs,
};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout_at},
};

use super::{
    permits::{LiveOutcome, Permits, ReturnDue, Taken, Waiting},
    policy::Policy,
};
use crate::{problem::Problem, problem_code::ProblemCode};

/// The most requests of a tenant that wait for permits of one policy.
const WAITING_MAX: u64 = 10_000;
/// How long a request waits for a permit.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// How often a task checks whether permits are to be returned.
const RETURN_EVERY: Duration = Duration::from_millis(500);
/// The longest pause that a refusal of a live job advises, in seconds, unless no request remains in the window.
const RETRY_AFTER_S_MAX: u64 = 10;

/// What calls to the store need.
pub(super) struct CallContext {
    pub(super) member: Arc<Member>,
    pub(super) metrics: GatewayMetrics,
}

impl CallContext {
    pub(super) fn store(&self) -> &dyn Store {
        &*self.member.store
    }

    pub(super) fn process(&self) -> &ProcessId {
        &self.member.id
    }

    pub(super) fn now(&self) -> TimeMs {
        self.member.store.now()
    }
}

/// A tenant with limits.
pub(crate) struct LimitedTenant {
    pub(super) id: TenantId,
    pub(super) context: Arc<CallContext>,
    state: Mutex<TenantState>,
}

/// The result of a call, for all requests that wait for it. `None` while it is made.
type CallResult = Option<Result<(), Problem>>;

pub(super) struct TenantState {
    pub(super) limits: Arc<TenantLimits>,
    pub(super) permits: Permits,
    pub(super) waiting: Waiting,
    /// The stored usage, as this gateway has written it last.
    pub(super) stored: Option<StoredUsage>,
    call: Option<watch::Receiver<CallResult>>,
    /// Whether a task returns the permits that are not needed.
    is_returning: bool,
    used_at: Instant,
}

impl LimitedTenant {
    pub(super) fn new(id: TenantId, limits: Arc<TenantLimits>, context: Arc<CallContext>) -> Self {
        Self {
            id,
            context,
            state: Mutex::new(TenantState {
                limits,
                permits: Permits::default(),
                waiting: Waiting::default(),
                stored: None,
                call: None,
                is_returning: false,
                used_at: Instant::now(),
            }),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, TenantState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that a request uses the tenant, with the limits that apply now.
    pub(super) fn begin_use(&self, limits: &Arc<TenantLimits>) {
        let mut state = self.lock();
        state.used_at = Instant::now();
        if !Arc::ptr_eq(&state.limits, limits) {
            if state.limits != *limits {
                let old = Arc::clone(&state.limits);
                state.permits.limits_changed(&old, limits);
            }
            state.limits = Arc::clone(limits);
        }
    }

    /// Whether no request has used the tenant for this time.
    pub(super) fn is_unused_for(&self, time: Duration) -> bool {
        self.lock().used_at.elapsed() >= time
    }

    /// Takes a permit, if the tenant has this limit. Waits for a call if this gateway has no permit. Returns
    /// whether a permit was taken.
    ///
    /// # Errors
    /// The limit is reached, too many requests wait, or the store does not respond.
    pub(super) async fn take(self: &Arc<Self>, policy: Policy) -> Result<bool, Problem> {
        let deadline = Instant::now() + WAIT_MAX;
        let mut waiter = None;
        loop {
            let mut call = {
                let mut state = self.lock();
                let has_limit = match policy {
                    Policy::Requests => state.limits.requests.is_some(),
                    Policy::Live => state.limits.live_jobs.is_some(),
                };
                if !has_limit {
                    return Ok(false);
                }
                let now = self.context.now();
                match state.permits.take(policy, now) {
                    Taken::Yes => {
                        self.return_surplus_later(&mut state);
                        return Ok(true);
                    }
                    Taken::Refused => {
                        self.context.metrics.count_quota_refusal(policy.as_str());
                        return Err(self.refusal(policy, &state, now));
                    }
                    Taken::NeedsCall => {
                        if waiter.is_none() {
                            waiter = Some(self.begin_wait(&mut state, policy)?);
                        }
                        self.join_call(&mut state)
                    }
                }
            };
            let result = match timeout_at(deadline, call.wait_for(Option::is_some)).await {
                Ok(Ok(result)) => result.clone().unwrap_or(Ok(())),
                // The task has panicked.
                Ok(Err(_)) => Err(Problem::new(
                    ProblemCode::Internal,
                    "the permits of the tenant could not be read",
                )),
                Err(_) => Err(overloaded()),
            };
            result?;
        }
    }

    /// Ends the use of a permit for a live job.
    pub(super) fn end_use(self: &Arc<Self>, outcome: LiveOutcome) {
        let mut state = self.lock();
        state.permits.end_use(outcome, self.context.now());
        self.return_surplus_later(&mut state);
    }

    fn begin_wait(
        self: &Arc<Self>,
        state: &mut TenantState,
        policy: Policy,
    ) -> Result<Waiter, Problem> {
        let waiting = state.waiting.of(policy);
        if *waiting >= WAITING_MAX {
            return Err(overloaded());
        }
        *waiting += 1;
        Ok(Waiter {
            tenant: Arc::clone(self),
            policy,
        })
    }

    /// The call that is being made, or a new one.
    fn join_call(self: &Arc<Self>, state: &mut TenantState) -> watch::Receiver<CallResult> {
        if let Some(call) = &state.call
            // The sender of a task that has panicked is gone.
            && call.has_changed().is_ok()
        {
            return call.clone();
        }
        let (sender, receiver) = watch::channel(None);
        state.call = Some(receiver.clone());
        let tenant = Arc::clone(self);
        tokio::spawn(async move {
            let result = tenant.call().await;
            {
                let mut state = tenant.lock();
                state.call = None;
                tenant.return_surplus_later(&mut state);
            }
            sender.send_replace(Some(result));
        });
        receiver
    }

    /// Starts a task that returns the permits that this gateway does not need. The task ends when the gateway has no permits.
    fn return_surplus_later(self: &Arc<Self>, state: &mut TenantState) {
        if state.is_returning || state.permits.return_due(self.context.now()) == ReturnDue::Never {
            return;
        }
        state.is_returning = true;
        let tenant = Arc::clone(self);
        tokio::spawn(async move {
            loop {
                sleep(RETURN_EVERY).await;
                let mut call = {
                    let mut state = tenant.lock();
                    match state.permits.return_due(tenant.context.now()) {
                        ReturnDue::Now => tenant.join_call(&mut state),
                        ReturnDue::Later => continue,
                        ReturnDue::Never => {
                            state.is_returning = false;
                            return;
                        }
                    }
                };
                let returned = call.wait_for(Option::is_some).await;
                let is_done = returned.is_ok_and(|result| matches!(*result, Some(Ok(()))));
                if !is_done {
                    // The next request starts another task.
                    tenant.lock().is_returning = false;
                    return;
                }
            }
        });
    }

    fn refusal(&self, policy: Policy, state: &TenantState, now: TimeMs) -> Problem {
        let limits = &state.limits;
        let (detail, retry_after_s) = match policy {
            Policy::Requests => {
                let limit = limits
                    .requests
                    .map_or((0, 0), |limit| (limit.quota, limit.window_s));
                let ends_at = state.permits.requests_left(now).map_or(now, |left| left.1);
                (
                    format!(
                        "the tenant may make {} requests that submit or retry a job, or write or fork a session, in {} s",
                        limit.0, limit.1
                    ),
                    ends_at.since_ms(now).div_ceil(1_000).max(1),
                )
            }
            Policy::Live => {
                let quota = limits.live_jobs.map_or(0, |limit| limit.quota);
                let mut wait_ms = self.context.member.gauge.time_to_drain_ms(1);
                wait_ms = wait_ms.min(RETRY_AFTER_S_MAX * 1_000);
                // If no request remains in the window, the next request would be refused until the window ends.
                if let Some((0, ends_at)) = state.permits.requests_left(now) {
                    wait_ms = wait_ms.max(ends_at.since_ms(now));
                }
                (
                    format!("at most {quota} jobs of the tenant may be live"),
                    wait_ms.div_ceil(1_000).max(1),
                )
            }
        };
        Problem::quota_exceeded(policy.as_str(), detail).retry_after(retry_after_s)
    }
}

impl Waiting {
    const fn of(&mut self, policy: Policy) -> &mut u64 {
        match policy {
            Policy::Requests => &mut self.requests,
            Policy::Live => &mut self.live,
        }
    }
}

/// A request that waits for a permit.
struct Waiter {
    tenant: Arc<LimitedTenant>,
    policy: Policy,
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut state = self.tenant.lock();
        let waiting = state.waiting.of(self.policy);
        *waiting = waiting.saturating_sub(1);
    }
}

fn overloaded() -> Problem {
    let detail = "too many requests of the tenant wait for permits";
    Problem::new(ProblemCode::Overloaded, detail).retry_after(1)
}
