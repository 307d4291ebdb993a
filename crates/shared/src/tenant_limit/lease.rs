//! The rule: which permits a gateway gets.
//!
//! Permits that one gateway holds cannot be used by another one. So a gateway leases what its requests wait for, and beyond that at
//! most a share of what remains. It returns what it does not need: it keeps at most a fortieth of the quota, divided by the gateways.
//! Two gateways together then let through at least 95 % of what one would, and never more than the limit.

use super::{TenantLimits, TenantUsage, UsageLease, UsageWindow};
use crate::{document::UnknownFields, ids::ProcessId, time::TimeMs};

/// How long a lease holds, in milliseconds. It must be longer than a commit takes.
pub const LEASE_MS: u64 = 60_000;

/// A lease beyond what waits is at most what remains, divided by this number and by the number of gateways.
const REST_DIVISOR: u64 = 4;
/// A gateway keeps at most the quota, divided by this number and by the number of gateways.
const QUOTA_DIVISOR: u64 = 40;
/// The most leases of a document. A further gateway gets no permits until one expires.
const LEASES_MAX: usize = 1_000;

/// What a gateway has, and what it wants.
#[derive(Clone, Debug)]
pub struct LeaseRequest<'a> {
    /// The gateway process.
    pub process: &'a ProcessId,
    /// The store's time.
    pub now: TimeMs,
    /// The permits for requests.
    pub requests: RequestPermits,
    /// The permits for live jobs.
    pub live: LivePermits,
}

/// The permits for requests that a gateway has and wants.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestPermits {
    /// The beginning of the window to which the held permits belong. If this is not the current window, they are void.
    pub window: Option<TimeMs>,
    /// The unspent permits that the gateway keeps.
    pub held: u64,
    /// The unspent permits that it returns. All other permits of its lease are spent, or were lost with a grant that it did not receive.
    pub returned: u64,
    /// The permits for which requests wait. With 0, the call only returns permits.
    pub wanted: u64,
    /// The permits that will probably be needed next, beyond those that are wanted.
    pub expected: u64,
}

/// The permits for live jobs that a gateway has and wants.
#[derive(Clone, Copy, Debug, Default)]
pub struct LivePermits {
    /// The free permits, and those of jobs whose admission has not ended. The caller counts them before it loads the document.
    pub held: u64,
    /// The permits for which requests wait. With 0, the call only returns permits.
    pub wanted: u64,
    /// The permits that will probably be needed next, beyond those that are wanted.
    pub expected: u64,
    /// The tenant's live jobs in the store, counted after the document was loaded. Without it, no permit is granted.
    pub jobs: Option<u64>,
}

/// What a gateway gets, in addition to what it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// The beginning and the end of the current window. `None` if no window has begun.
    pub window: Option<(TimeMs, TimeMs)>,
    /// The new permits for requests of the window.
    pub requests: u64,
    /// The permits for requests that are neither spent nor leased.
    pub requests_left: u64,
    /// How many unspent permits for requests the gateway may keep while it does not need them.
    pub requests_kept_max: u64,
    /// The new permits for live jobs.
    pub live: u64,
    /// The permits for live jobs that no job uses and no gateway has. `None` if the live jobs were not counted.
    pub live_left: Option<u64>,
    /// How many free permits for live jobs the gateway may keep while it does not need them.
    pub live_kept_max: u64,
    /// When the lease expires.
    pub until: TimeMs,
}

/// Settles the lease of a gateway, and grants it further permits. The new document is stored only if the store still has the
/// version that was loaded.
///
/// The document must be loaded after the caller counted the permits that it holds, and before it counted the live jobs. Then a permit
/// whose job is admitted meanwhile counts twice, and is never missed.
#[must_use]
pub fn lease(
    mut usage: TenantUsage,
    limits: &TenantLimits,
    request: &LeaseRequest<'_>,
) -> (TenantUsage, Grant) {
    let now = request.now;
    let own = usage.leases.remove(request.process).unwrap_or_default();
    end_window(&mut usage, limits, now);
    let own_requests = usage.window.as_ref().map_or(0, |_| own.requests);
    remove_expired(&mut usage, now);
    let is_refused = usage.leases.len() >= LEASES_MAX;
    let gateways = usage.leases.len() as u64 + 1;
    let mut grant = Grant {
        until: now.plus_ms(LEASE_MS),
        ..Grant::default()
    };
    let mut next = UsageLease {
        until: grant.until,
        requests: 0,
        live: 0,
        unknown: own.unknown,
    };

    if let Some(limit) = limits.requests {
        let permits = request.requests;
        if usage.window.is_none() && permits.wanted > 0 {
            usage.window = Some(UsageWindow {
                begins_at: now,
                used: 0,
                unknown: UnknownFields::NONE,
            });
        }
        let leased: u64 = usage.leases.values().map(|lease| lease.requests).sum();
        if let Some(window) = &mut usage.window {
            let is_same_window = permits.window == Some(window.begins_at);
            // A gateway whose last response was lost holds fewer permits than its lease. The others are lost.
            let (held, returned) = if is_same_window {
                (permits.held, permits.returned)
            } else {
                (0, 0)
            };
            let held = held.min(own_requests);
            let used = (own_requests - held).saturating_sub(returned);
            window.used = window.used.saturating_add(used);
            let pool = Pool {
                quota: u64::from(limit.quota),
                taken: window.used.saturating_add(leased).saturating_add(held),
                gateways,
            };
            let (granted, left) = pool.grant(permits.wanted, permits.expected, is_refused);
            next.requests = held + granted;
            grant.requests = granted;
            grant.requests_left = left;
            grant.requests_kept_max = pool.kept_max();
            grant.window = Some((
                window.begins_at,
                window.begins_at.plus_ms(limit.window_ms()),
            ));
        }
    }
    if let Some(limit) = limits.live_jobs {
        let permits = request.live;
        let leased: u64 = usage.leases.values().map(|lease| lease.live).sum();
        let pool = Pool {
            quota: u64::from(limit.quota),
            taken: (permits.jobs.unwrap_or(u64::MAX))
                .saturating_add(leased)
                .saturating_add(permits.held),
            gateways,
        };
        let (granted, left) = pool.grant(permits.wanted, permits.expected, is_refused);
        next.live = permits.held + granted;
        grant.live = granted;
        grant.live_left = permits.jobs.map(|_| left);
        grant.live_kept_max = pool.kept_max();
    }
    if next.requests > 0 || next.live > 0 {
        usage.leases.insert(request.process.clone(), next);
    }
    (usage, grant)
}

/// Removes a window that has ended, with its permits.
fn end_window(usage: &mut TenantUsage, limits: &TenantLimits, now: TimeMs) {
    let is_current = |window: &UsageWindow| {
        let window_ms = limits.requests.map_or(0, |limit| limit.window_ms());
        now.since_ms(window.begins_at) < window_ms
    };
    if !usage.window.as_ref().is_some_and(is_current) {
        usage.window = None;
        for lease in usage.leases.values_mut() {
            lease.requests = 0;
        }
    }
}

/// Removes the leases of gateways that have not renewed them. Nobody knows which of their permits for requests were spent, so
/// all of them count as used.
fn remove_expired(usage: &mut TenantUsage, now: TimeMs) {
    let mut used = 0;
    usage.leases.retain(|_, lease| {
        let is_current = lease.until > now;
        if !is_current {
            used += lease.requests;
        }
        is_current
    });
    if let Some(window) = &mut usage.window {
        window.used = window.used.saturating_add(used);
    }
}

/// The permits of one limit.
struct Pool {
    quota: u64,
    /// The permits that are used or leased, including those of the gateway that asks.
    taken: u64,
    gateways: u64,
}

impl Pool {
    /// The permits that are granted, and those that are left then.
    fn grant(&self, wanted: u64, expected: u64, is_refused: bool) -> (u64, u64) {
        let rest = self.quota.saturating_sub(self.taken);
        if wanted == 0 || is_refused {
            return (0, rest);
        }
        let for_waiting = wanted.min(rest);
        let rest = rest - for_waiting;
        let for_expected = expected.max(self.kept_max());
        let for_expected = for_expected.min(rest / (REST_DIVISOR * self.gateways));
        (for_waiting + for_expected, rest - for_expected)
    }

    const fn kept_max(&self) -> u64 {
        self.quota / (QUOTA_DIVISOR * self.gateways)
    }
}
