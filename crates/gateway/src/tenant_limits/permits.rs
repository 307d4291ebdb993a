//! The permits that this gateway has for a tenant: what may be spent, what is in use, and what is reported in the next call. It
//! performs no I/O.

use forebay_shared::{
    tenant_limit::{Grant, LEASE_MS, LivePermits, RequestPermits},
    time::TimeMs,
};

use super::policy::Policy;

/// A permit for a request is spent at most until this time before the lease expires, in milliseconds. The clocks of two processes
/// differ by less.
const REQUEST_MARGIN_MS: u64 = 5_000;
/// A permit for a live job is taken at most until this time before the lease expires, in milliseconds. The longest commit takes 30 s, and
/// it may take effect later than its caller waits.
const LIVE_MARGIN_MS: u64 = 45_000;
/// How long a permit stays in use after a commit whose outcome is not known, in milliseconds.
const LATE_MS: u64 = 10_000;
/// How long a refusal is remembered, in milliseconds. Meanwhile, no call of the store is made for this limit.
const REQUEST_REFUSAL_MS: u64 = 500;
const LIVE_REFUSAL_MS: u64 = 50;
/// A call asks for the permits that will be needed in this time, in milliseconds.
const EXPECTED_MS: u64 = 500;
/// The most permits that are expected to be needed.
const EXPECTED_MAX: u64 = 100_000;

const _: () = assert!(LEASE_MS > LIVE_MARGIN_MS);

/// An idle gateway returns what it need not keep after this time, in milliseconds, and all else after the longer time.
const RETURN_SURPLUS_MS: u64 = 300;
const RETURN_ALL_MS: u64 = 20_000;
/// A lease is renewed when it expires in this time, in milliseconds. Permits of an expired lease are lost.
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
    requests: Kind,
    live: Kind,
    /// The permits of jobs that are being admitted.
    live_in_use: u64,
    /// The permits of jobs that may still be admitted, and until when.
    live_late: u64,
    late_until: TimeMs,
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

/// The permits of one limit.
#[derive(Debug, Default)]
struct Kind {
    free: u64,
    /// The permits that no gateway has, as of the last call. `None` before.
    left: Option<u64>,
    /// How many free permits this gateway may keep while it does not need them.
    kept_max: u64,
    refused_until: TimeMs,
    /// The permits that were taken since the last call.
    taken: u64,
}

impl Kind {
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

    fn expected(&self, elapsed_ms: u64) -> u64 {
        let expected = self.taken.saturating_mul(EXPECTED_MS) / elapsed_ms.max(1);
        expected.min(EXPECTED_MAX)
    }

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
        match outcome {
            LiveOutcome::Ended => {}
            LiveOutcome::NotAdmitted => self.live.free += 1,
            LiveOutcome::Unknown => {
                self.live_late += 1;
                self.late_until = now.plus_ms(LATE_MS);
            }
        }
    }

    /// Whether a job with a permit is being admitted.
    pub(super) const fn is_admitting(&self) -> bool {
        self.live_in_use > 0
    }

    /// The limits have changed: the next permit needs a call.
    pub(super) fn limits_changed(&mut self) {
        self.is_outdated = true;
        self.requests.refused_until = TimeMs(0);
        self.live.refused_until = TimeMs(0);
    }

    /// What a call reports and asks for, for this many waiting requests.
    pub(super) fn begin_call(
        &mut self,
        waiting: Waiting,
        now: TimeMs,
    ) -> (RequestPermits, LivePermits) {
        if self.until <= now {
            (self.requests.free, self.live.free) = (0, 0);
        }
        if self.late_until <= now {
            self.live_late = 0;
        }
        if waiting == Waiting::default() {
            let keeps_none = self.is_idle_for(RETURN_ALL_MS, now);
            for kind in [&mut self.requests, &mut self.live] {
                let kept_max = if keeps_none { 0 } else { kind.kept_max };
                kind.free = kind.free.min(kept_max);
            }
        }
        let elapsed_ms = now.since_ms(self.called_at);
        // A request that gets a permit will probably ask for one of a live job.
        let asks_soon = waiting.requests > 0 && self.live.free == 0;
        let live_wanted = waiting
            .live
            .max(u64::from(asks_soon && self.live.refused_until <= now));
        (
            RequestPermits {
                window: self.window.map(|window| window.begins_at),
                held: self.requests.free,
                wanted: waiting.requests,
                expected: self.requests.expected(elapsed_ms),
            },
            LivePermits {
                held: self.live.free + self.live_in_use + self.live_late,
                wanted: live_wanted,
                expected: self.live.expected(elapsed_ms),
                jobs: None,
            },
        )
    }

    /// Takes over what a call has got.
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
        self.until = grant.until;
        self.called_at = now;
        self.is_outdated = false;
    }

    /// When to make a call that returns what this gateway does not need.
    pub(super) fn return_due(&self, now: TimeMs) -> ReturnDue {
        let live = self.live.free + self.live_in_use + self.live_late;
        let in_window = self.window.is_some_and(|window| now < window.ends_at);
        let requests = if in_window { self.requests.free } else { 0 };
        if self.until <= now || (requests == 0 && live == 0 && self.live_leased == 0) {
            return ReturnDue::Never;
        }
        // The lease has the free permits, those in use, and those of jobs that are in the store by now: they count twice until a call.
        let in_use = self.live_in_use + self.live_late;
        let has_surplus =
            requests > self.requests.kept_max || self.live_leased > in_use + self.live.kept_max;
        let is_due = (has_surplus && self.is_idle_for(RETURN_SURPLUS_MS, now))
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

    /// How many more jobs may live. `None` if it was never read.
    pub(super) fn live_left(&self) -> Option<u64> {
        self.live.remaining()
    }
}

/// When to make a call that returns permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReturnDue {
    Now,
    Later,
    /// This gateway has no permits.
    Never,
}

/// How many requests wait for a permit of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) requests: u64,
    pub(super) live: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAITS: Waiting = Waiting {
        requests: 1,
        live: 0,
    };

    fn granted(requests: u64, live: u64) -> Grant {
        Grant {
            window: Some((TimeMs(1_000), TimeMs(61_000))),
            requests,
            requests_left: 10,
            requests_kept_max: 1,
            live,
            live_left: Some(5),
            live_kept_max: 1,
            until: TimeMs(1_000 + LEASE_MS),
        }
    }

    fn called(grant: &Grant) -> Permits {
        let mut permits = Permits::default();
        let (requests, mut live) = permits.begin_call(WAITS, TimeMs(1_000));
        assert_eq!((requests.wanted, live.wanted), (1, 1));
        live.jobs = Some(0);
        permits.end_call(requests, live, grant, TimeMs(1_000));
        permits
    }

    #[test]
    fn permits_are_spent_within_their_window_and_their_lease() {
        let mut permits = called(&granted(3, 2));
        let now = TimeMs(2_000);
        assert_eq!(permits.requests_left(now), Some((13, TimeMs(61_000))));
        assert_eq!(permits.take(Policy::Requests, now), Taken::Yes);
        assert_eq!(permits.requests_left(now), Some((12, TimeMs(61_000))));
        assert_eq!(permits.take(Policy::Live, now), Taken::Yes);
        assert_eq!(permits.live_left(), Some(6));
        let late = TimeMs(1_000 + LEASE_MS - LIVE_MARGIN_MS);
        assert_eq!(permits.take(Policy::Live, late), Taken::NeedsCall);
        assert_eq!(permits.take(Policy::Requests, late), Taken::Yes);
        let ended = TimeMs(61_000);
        assert_eq!(permits.take(Policy::Requests, ended), Taken::NeedsCall);
        assert_eq!(permits.requests_left(ended), None);
        // An expired lease reports only what is in use.
        let (requests, live) = permits.begin_call(WAITS, TimeMs(1_000 + LEASE_MS));
        assert_eq!((requests.held, live.held), (0, 1));
    }

    #[test]
    fn a_refusal_is_remembered_for_a_short_time() {
        let mut permits = called(&granted(0, 0));
        let now = TimeMs(1_000);
        assert_eq!(permits.take(Policy::Requests, now), Taken::Refused);
        assert_eq!(permits.take(Policy::Live, now), Taken::Refused);
        let later = now.plus_ms(LIVE_REFUSAL_MS);
        assert_eq!(permits.take(Policy::Live, later), Taken::NeedsCall);
        assert_eq!(permits.take(Policy::Requests, later), Taken::Refused);
        permits.limits_changed();
        assert_eq!(permits.take(Policy::Requests, now), Taken::NeedsCall);
        assert_eq!(permits.take(Policy::Live, now), Taken::NeedsCall);
    }

    #[test]
    fn a_permit_counts_until_its_job_is_in_the_store() {
        let mut permits = called(&granted(0, 3));
        let now = TimeMs(1_100);
        for _ in 0..3 {
            assert_eq!(permits.take(Policy::Live, now), Taken::Yes);
        }
        let held = |permits: &mut Permits, now| {
            let (_, live) = permits.begin_call(WAITS, now);
            live.held
        };
        assert_eq!(held(&mut permits, now), 3);
        permits.end_use(LiveOutcome::Ended, now);
        permits.end_use(LiveOutcome::NotAdmitted, now);
        permits.end_use(LiveOutcome::Unknown, now);
        assert_eq!(held(&mut permits, now), 2);
        let later = now.plus_ms(LATE_MS);
        assert_eq!(held(&mut permits, later), 1, "one permit is free again");
        assert_eq!(permits.take(Policy::Live, later), Taken::Yes);
    }

    #[test]
    fn what_is_not_needed_is_returned() {
        let mut permits = called(&granted(5, 1));
        permits.take(Policy::Requests, TimeMs(1_000));
        assert_eq!(permits.return_due(TimeMs(1_299)), ReturnDue::Later);
        let now = TimeMs(1_300);
        assert_eq!(permits.return_due(now), ReturnDue::Now);
        let (requests, live) = permits.begin_call(Waiting::default(), now);
        assert_eq!((requests.held, requests.wanted), (1, 0));
        assert_eq!((live.held, live.wanted), (1, 0));
        permits.end_call(requests, live, &granted(0, 0), now);
        assert_eq!(permits.return_due(TimeMs(5_000)), ReturnDue::Later);

        // A job that is in the store is in the lease too, until the next call.
        permits.take(Policy::Live, now);
        permits.end_use(LiveOutcome::Ended, now);
        let later = now.plus_ms(RETURN_SURPLUS_MS);
        assert_eq!(
            permits.return_due(later),
            ReturnDue::Later,
            "one may be kept"
        );
        permits.live.kept_max = 0;
        assert_eq!(permits.return_due(later), ReturnDue::Now);
        permits.live.kept_max = 1;

        let idle = now.plus_ms(RETURN_ALL_MS);
        assert_eq!(permits.return_due(idle), ReturnDue::Now);
        let (requests, live) = permits.begin_call(Waiting::default(), idle);
        assert_eq!((requests.held, live.held), (0, 0));
        let empty = Grant {
            until: TimeMs(100_000),
            ..granted(0, 0)
        };
        permits.end_call(requests, live, &empty, idle);
        assert_eq!(permits.return_due(idle), ReturnDue::Never);
    }

    #[test]
    fn a_lease_in_use_is_renewed_before_it_expires() {
        let mut permits = called(&granted(5, 1));
        let late = TimeMs(1_000 + LEASE_MS - RENEW_MS + 1);
        permits.take(Policy::Requests, late);
        assert_eq!(permits.return_due(late), ReturnDue::Now);
        permits.end_use(LiveOutcome::Ended, late);
        let expired = TimeMs(1_000 + LEASE_MS);
        assert_eq!(permits.return_due(expired), ReturnDue::Never);
    }

    #[test]
    fn a_call_asks_for_what_the_next_half_second_needs() {
        let mut permits = called(&granted(100, 0));
        for _ in 0..50 {
            assert_eq!(permits.take(Policy::Requests, TimeMs(1_050)), Taken::Yes);
        }
        let (requests, _) = permits.begin_call(WAITS, TimeMs(1_250));
        assert_eq!((requests.held, requests.expected), (50, 100));
    }
}
