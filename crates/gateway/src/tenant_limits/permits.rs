//! The permits that this gateway has for a tenant: what may be spent, what is in use, and what is reported in the next call. This
//! module performs no I/O.

use std::collections::VecDeque;

use forebay_shared::{
    tenant_limit::{Grant, LEASE_MS, LivePermits, RequestPermits, TenantLimits},
    time::TimeMs,
};

use super::policy::Policy;

/// A permit for a request is spent only while the lease has more than this time left, in milliseconds. The clocks of two processes
/// differ by less.
const REQUEST_MARGIN_MS: u64 = 5_000;
/// A permit for a live job is taken only while the lease has more than this time left, in milliseconds. The longest commit takes 30 s,
/// and it may take effect after its caller has stopped waiting.
const LIVE_MARGIN_MS: u64 = 45_000;
/// How long a permit stays in use after a commit whose outcome is not known, in milliseconds.
const LATE_MS: u64 = 30_000;
/// How long a refusal is remembered, in milliseconds. Meanwhile, no call of the store is made for this limit.
const REQUEST_REFUSAL_MS: u64 = 500;
const LIVE_REFUSAL_MS: u64 = 50;
/// A call asks for the permits that will be needed in this time, in milliseconds.
const EXPECTED_MS: u64 = 500;
/// The most permits that are expected to be needed.
const EXPECTED_MAX: u64 = 100_000;

const _: () = assert!(LEASE_MS > LIVE_MARGIN_MS);

/// After how much idle time a gateway returns the permits beyond those that it may keep, in milliseconds.
const RETURN_SURPLUS_MS: u64 = 300;
/// After how much idle time a gateway returns all free permits, in milliseconds.
const RETURN_ALL_MS: u64 = 20_000;
/// A lease is renewed when it expires within this time, in milliseconds. Permits of an expired lease are lost.
const RENEW_MS: u64 = 30_000;

/// The result of taking a permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// The permit was taken.
    Yes,
    /// The limit is reached.
    Refused,
    /// This gateway has no permit, and a call may get one.
    NeedsCall,
}

/// How the admission of a job with a permit ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LiveOutcome {
    /// If a job was admitted, it is in the store.
    Ended,
    /// No job was admitted: the permit is free again.
    NotAdmitted,
    /// The job may be admitted a little later.
    Unknown,
}

/// The window of the permits for requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    begins_at: TimeMs,
    ends_at: TimeMs,
}

/// The permits of a tenant.
#[derive(Debug, Default)]
pub(super) struct Permits {
    window: Option<Window>,
    requests: PolicyPermits,
    live: PolicyPermits,
    /// The permits of jobs that are being admitted.
    live_in_use: u64,
    /// How many admissions have ended so far.
    admissions_ended: u64,
    /// For each job whose commit has an unknown outcome: until when its permit stays in use. Ascending.
    live_late: VecDeque<TimeMs>,
    /// The permits for live jobs in the stored lease.
    live_leased: u64,
    /// When the lease expires.
    until: TimeMs,
    /// When the last call ended.
    called_at: TimeMs,
    /// When a permit was last taken.
    taken_at: TimeMs,
    /// Whether the limits have changed since the last call.
    is_outdated: bool,
}

/// The permits of one policy.
#[derive(Debug, Default)]
struct PolicyPermits {
    free: u64,
    /// The permits that no gateway has, as of the last call. `None` before.
    left: Option<u64>,
    /// How many free permits this gateway may keep while it does not need them.
    kept_max: u64,
    refused_until: TimeMs,
    /// The permits that were taken since the last call.
    taken: u64,
    /// The permits that were given up since the last call. The next one returns them.
    returned: u64,
}

impl PolicyPermits {
    /// Takes a free permit. `is_valid`: whether free permits may be spent now.
    fn take(&mut self, is_valid: bool, now: TimeMs) -> Taken {
        if is_valid && self.free > 0 {
            self.free -= 1;
            self.taken += 1;
            return Taken::Yes;
        }
        if self.refused_until > now {
            Taken::Refused
        } else {
            Taken::NeedsCall
        }
    }

    /// How many permits are needed in [`EXPECTED_MS`], at the rate of the time since the last call.
    fn expected(&self, elapsed_ms: u64) -> u64 {
        let expected = self.taken.saturating_mul(EXPECTED_MS) / elapsed_ms.max(1);
        expected.min(EXPECTED_MAX)
    }

    /// The permits that can still be spent: those of this gateway, and those that no gateway has.
    fn remaining(&self) -> Option<u64> {
        self.left.map(|left| left + self.free)
    }
}

impl Permits {
    /// Takes a permit.
    pub(super) fn take(&mut self, policy: Policy, now: TimeMs) -> Taken {
        let lease_ms = self.until.since_ms(now);
        let taken = match policy {
            Policy::Requests => {
                let in_window = self.window.is_some_and(|window| now < window.ends_at);
                let is_valid = in_window && !self.is_outdated && lease_ms > REQUEST_MARGIN_MS;
                self.requests.take(is_valid, now)
            }
            Policy::Live => {
                let is_valid = !self.is_outdated && lease_ms > LIVE_MARGIN_MS;
                self.live.take(is_valid, now)
            }
        };
        if taken == Taken::Yes {
            self.taken_at = now;
            self.live_in_use += u64::from(policy == Policy::Live);
        }
        taken
    }

    /// Ends the use of a permit for a live job.
    pub(super) fn end_use(&mut self, outcome: LiveOutcome, now: TimeMs) {
        self.live_in_use = self.live_in_use.saturating_sub(1);
        self.admissions_ended += 1;
        match outcome {
            LiveOutcome::Ended => {}
            LiveOutcome::NotAdmitted => self.live.free += 1,
            LiveOutcome::Unknown => {
                self.live_late.push_back(now.plus_ms(LATE_MS));
            }
        }
    }

    /// The admissions of jobs with a permit.
    pub(super) const fn admissions(&self) -> Admissions {
        Admissions {
            under_way: self.live_in_use,
            ended: self.admissions_ended,
        }
    }

    fn late(&self) -> u64 {
        self.live_late.len() as u64
    }

    /// Records that the limits have changed, so the next permit needs a call. Gives up the free permits for live jobs. Those for requests
    /// are given up only if the limit of requests is new, is lower or has another window: given up, they count as spent.
    pub(super) fn limits_changed(&mut self, old: &TenantLimits, new: &TenantLimits) {
        self.is_outdated = true;
        let is_lower = match (old.requests, new.requests) {
            (Some(old), Some(new)) => new.quota < old.quota || new.window_s != old.window_s,
            (None, Some(_)) => true,
            (_, None) => false,
        };
        if is_lower {
            self.requests.free = 0;
        }
        self.live.free = 0;
        self.requests.refused_until = TimeMs(0);
        self.live.refused_until = TimeMs(0);
    }

    /// What a call reports and asks for while `waiting` requests wait.
    pub(super) fn begin_call(
        &mut self,
        waiting: Waiting,
        now: TimeMs,
    ) -> (RequestPermits, LivePermits) {
        if self.until <= now {
            (self.requests.free, self.live.free) = (0, 0);
            self.requests.returned = 0;
        }
        while self.live_late.front().is_some_and(|until| *until <= now) {
            self.live_late.pop_front();
        }
        let elapsed_ms = now.since_ms(self.called_at);
        if waiting == Waiting::default() {
            let keeps_none = self.is_idle_for(RETURN_ALL_MS, now);
            for permits in [&mut self.requests, &mut self.live] {
                let kept_max = if keeps_none {
                    0
                } else {
                    permits.kept_max.max(permits.expected(elapsed_ms))
                };
                let kept = permits.free.min(kept_max);
                permits.returned += permits.free - kept;
                permits.free = kept;
            }
        }
        // A request that gets a permit will probably ask for a permit of a live job next.
        let asks_soon = waiting.requests > 0 && self.live.free == 0;
        let live_wanted = waiting
            .live
            .max(u64::from(asks_soon && self.live.refused_until <= now));
        (
            RequestPermits {
                window: self.window.map(|window| window.begins_at),
                held: self.requests.free,
                returned: self.requests.returned,
                wanted: waiting.requests,
                expected: self.requests.expected(elapsed_ms),
            },
            LivePermits {
                held: self.live.free + self.live_in_use + self.late(),
                wanted: live_wanted,
                expected: self.live.expected(elapsed_ms),
                jobs: None,
            },
        )
    }

    /// Records the permits that a call was granted.
    pub(super) fn end_call(
        &mut self,
        requests: RequestPermits,
        live: LivePermits,
        grant: &Grant,
        now: TimeMs,
    ) {
        let window = grant
            .window
            .map(|(begins_at, ends_at)| Window { begins_at, ends_at });
        if window.map(|window| window.begins_at) != self.window.map(|window| window.begins_at) {
            self.requests.free = 0;
        }
        self.window = window;
        self.requests.free += grant.requests;
        self.requests.left = window.map(|_| grant.requests_left);
        self.requests.kept_max = grant.requests_kept_max;
        if grant.requests < requests.wanted {
            let ends_at = window.map_or(now, |window| window.ends_at);
            self.requests.refused_until = now.plus_ms(REQUEST_REFUSAL_MS).min(ends_at);
        }
        self.live.free += grant.live;
        self.live_leased = live.held + grant.live;
        self.live.left = grant.live_left.or(self.live.left);
        self.live.kept_max = grant.live_kept_max;
        if live.jobs.is_some() && grant.live < live.wanted {
            self.live.refused_until = now.plus_ms(LIVE_REFUSAL_MS);
        }
        (self.requests.taken, self.live.taken) = (0, 0);
        (self.requests.returned, self.live.returned) = (0, 0);
        self.until = grant.until;
        self.called_at = now;
        self.is_outdated = false;
    }

    /// Records that a call has failed. The store may have recorded the returned permits, so they are not returned again and count as spent.
    pub(super) const fn call_failed(&mut self) {
        self.requests.returned = 0;
    }

    /// When to make a call that returns what this gateway does not need.
    pub(super) fn return_due(&self, now: TimeMs) -> ReturnDue {
        let live = self.live.free + self.live_in_use + self.late();
        let in_window = self.window.is_some_and(|window| now < window.ends_at);
        let requests = if in_window { self.requests.free } else { 0 };
        if self.until <= now || (requests == 0 && live == 0 && self.live_leased == 0) {
            return ReturnDue::Never;
        }
        // The lease has the free permits, those in use, and those of jobs that are in the store by now. Until a call, such
        // jobs count twice.
        let in_use = self.live_in_use + self.late();
        let has_surplus =
            requests > self.requests.kept_max || self.live_leased > in_use + self.live.kept_max;
        // A gateway that still gets some requests after a burst is not idle, but returns what it does not need.
        let elapsed_ms = now.since_ms(self.called_at);
        let needs = |permits: &PolicyPermits| permits.kept_max.max(permits.expected(elapsed_ms));
        let has_too_many = elapsed_ms >= EXPECTED_MS
            && (requests > needs(&self.requests) || self.live_leased > in_use + needs(&self.live));
        let is_due = has_too_many
            || (has_surplus && self.is_idle_for(RETURN_SURPLUS_MS, now))
            || self.is_idle_for(RETURN_ALL_MS, now)
            || self.until.since_ms(now) < RENEW_MS;
        if is_due {
            ReturnDue::Now
        } else {
            ReturnDue::Later
        }
    }

    /// Whether no permit was taken for this time, and no job is being admitted.
    const fn is_idle_for(&self, ms: u64, now: TimeMs) -> bool {
        now.since_ms(self.taken_at) >= ms && self.live_in_use == 0
    }

    /// The requests that remain in the current window, and when it ends. `None` if no window has begun.
    pub(super) fn requests_left(&self, now: TimeMs) -> Option<(u64, TimeMs)> {
        let window = self.window.filter(|window| now < window.ends_at)?;
        Some((self.requests.remaining()?, window.ends_at))
    }

    /// How many more jobs may be live. `None` before the first call that has read this number.
    pub(super) fn live_left(&self) -> Option<u64> {
        self.live.remaining()
    }
}

/// The admissions of jobs with a permit, at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Admissions {
    /// How many are under way.
    pub(super) under_way: u64,
    /// How many have ended so far.
    pub(super) ended: u64,
}

/// When to make a call that returns permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReturnDue {
    Now,
    Later,
    /// This gateway has no permits, or its lease has expired.
    Never,
}

/// How many requests wait for a permit of each policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) requests: u64,
    pub(super) live: u64,
}

#[cfg(test)]
mod tests;
