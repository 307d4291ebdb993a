//! The call that leases permits: loads the tenant's usage, counts its live jobs if permits for them are wanted, applies the rule, and
//! stores the new usage if no other gateway has changed it meanwhile.

use std::{sync::Arc, time::Duration};

use forebay_shared::{
    store::{StoreError, StoredUsage, UsageSwap, UsageVersion},
    tenant_limit::{LEASE_MS, LeaseRequest, lease},
};
use tokio::time::{sleep, timeout};

use super::{permits::Admissions, tenant::LimitedTenant};
use crate::{
    problem::Problem,
    problem_code::ProblemCode,
    store_call::{store_problem, with_timeout},
};

/// The time limit of a call, with all its attempts.
const CALL_TIMEOUT: Duration = Duration::from_secs(4);
/// After this many changes by other gateways, the call fails.
const ATTEMPTS_MAX: u32 = 20;
/// How often a call waits for the admissions of this gateway before it refuses a job.
const WAITS_MAX: u32 = 2;
/// The longest of these waits.
const ADMISSION_WAIT_MAX: Duration = Duration::from_secs(1);
/// The pause between two checks during such a wait.
const ADMISSION_PAUSE: Duration = Duration::from_millis(10);
/// The longest pause after another gateway has changed the usage, in milliseconds.
const CONFLICT_PAUSE_MS_MAX: f64 = 10.0;

impl LimitedTenant {
    /// Leases the permits for which requests wait, or returns those that are not needed.
    pub(super) async fn call(&self) -> Result<(), Problem> {
        let result = timeout(CALL_TIMEOUT, self.call_without_timeout()).await;
        let result = result.unwrap_or_else(|_| Err(store_problem(&StoreError::Unavailable(None))));
        if result.is_err() {
            self.lock().permits.call_failed();
        }
        result
    }

    async fn call_without_timeout(&self) -> Result<(), Problem> {
        let store = self.context.store();
        let (mut conflicts, mut waits) = (0, 0);
        while conflicts < ATTEMPTS_MAX {
            // The held permits are counted before the usage is loaded, and the live jobs after that: see `lease`.
            let now = self.context.now();
            let (limits, requests, mut live, known, admissions) = {
                let mut state = self.lock();
                let waiting = state.waiting;
                let (requests, live) = state.permits.begin_call(waiting, now);
                let admissions = state.permits.admissions();
                let stored = state.stored.take();
                (state.limits.clone(), requests, live, stored, admissions)
            };
            let is_known = known.is_some();
            let stored = match known {
                Some(stored) => Some(stored),
                None => with_timeout(store.tenant_usage(&self.id)).await?,
            };
            if limits.live_jobs.is_some() && live.wanted > 0 {
                live.jobs = Some(with_timeout(store.live_jobs_of(&self.id)).await?);
            }
            let (expected, usage) = match stored {
                Some(stored) => (Some(stored.version), stored.usage),
                None => (None, Default::default()),
            };
            let request = LeaseRequest {
                process: self.context.process(),
                now,
                requests,
                live,
            };
            let (next, grant) = lease(usage.clone(), &limits, &request);
            let lacks_requests = limits.requests.is_some() && grant.requests < requests.wanted;
            let lacks_live = live.jobs.is_some() && grant.live < live.wanted;
            if is_known && (lacks_requests || lacks_live) {
                // The usage in memory may be outdated: another gateway may have returned permits. The next attempt loads the usage.
                continue;
            }
            if lacks_live && waits < WAITS_MAX && admissions.under_way > 0 {
                // A job that was being admitted when the permits were counted may be in the store by now. Then it counts twice.
                waits += 1;
                self.wait_for_end_of(admissions).await;
                continue;
            }
            let swap = UsageSwap {
                tenant: self.id.clone(),
                expected,
                version: UsageVersion::new_v4(),
                ttl_ms: grant
                    .window
                    .map_or(0, |(_, ends_at)| ends_at.since_ms(now))
                    .max(LEASE_MS)
                    + LEASE_MS,
                next,
            };
            let is_changed = swap.next != usage;
            if is_changed && !with_timeout(store.swap_tenant_usage(&swap)).await? {
                conflicts += 1;
                sleep(Duration::from_secs_f64(
                    rand::random::<f64>() * CONFLICT_PAUSE_MS_MAX / 1_000.0,
                ))
                .await;
                continue;
            }
            let mut state = self.lock();
            state.stored = is_changed.then_some(StoredUsage {
                version: swap.version,
                usage: swap.next,
            });
            state.permits.end_call(requests, live, &grant, now);
            // If the limits have changed during the call, it has used limits that no longer apply.
            let new = Arc::clone(&state.limits);
            if new != limits {
                state.permits.limits_changed(&limits, &new);
            }
            return Ok(());
        }
        let detail = "too many gateways lease permits of the tenant at the same time";
        Err(Problem::new(ProblemCode::Overloaded, detail).retry_after(1))
    }

    /// Waits until as many admissions have ended as were under way, for at most [`ADMISSION_WAIT_MAX`].
    async fn wait_for_end_of(&self, before: Admissions) {
        let ended = async {
            while self.lock().permits.admissions().ended - before.ended < before.under_way {
                sleep(ADMISSION_PAUSE).await;
            }
        };
        let _ = timeout(ADMISSION_WAIT_MAX, ended).await;
    }
}
