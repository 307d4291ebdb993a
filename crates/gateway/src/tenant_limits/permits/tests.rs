//! Tests of the permits that a gateway has.

use forebay_shared::tenant_limit::{LiveJobLimit, RequestLimit};

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

/// The permits of a gateway after a call that was granted this.
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
    permits.limits_changed(&TenantLimits::default(), &TenantLimits::default());
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
    permits.until = later.plus_ms(LEASE_MS);
    assert_eq!(held(&mut permits, later), 1, "only the free permit is held");
    assert_eq!(permits.take(Policy::Live, later), Taken::Yes);
}

#[test]
fn permits_that_are_not_needed_are_returned() {
    let mut permits = called(&granted(5, 1));
    permits.take(Policy::Requests, TimeMs(1_000));
    assert_eq!(permits.return_due(TimeMs(1_299)), ReturnDue::Later);
    let now = TimeMs(1_300);
    assert_eq!(permits.return_due(now), ReturnDue::Now);
    // An attempt that did not reach the store is repeated.
    permits.begin_call(Waiting::default(), now);
    let (requests, live) = permits.begin_call(Waiting::default(), now);
    assert_eq!(
        (requests.held, requests.returned, requests.wanted),
        (1, 3, 0)
    );
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
    assert_eq!((requests.held, requests.returned, live.held), (0, 1, 0));
    // The store may have taken over the returned permit, so it is not returned again.
    permits.call_failed();
    let (requests, _) = permits.begin_call(Waiting::default(), idle);
    assert_eq!((requests.held, requests.returned), (0, 0));
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

fn limits(requests: u32, live: u32) -> TenantLimits {
    TenantLimits {
        requests: Some(RequestLimit {
            quota: requests,
            window_s: 60,
        }),
        live_jobs: Some(LiveJobLimit { quota: live }),
        ..TenantLimits::default()
    }
}

#[test]
fn permits_beyond_lowered_limits_are_given_up() {
    let mut permits = called(&granted(5, 5));
    permits.limits_changed(&limits(100, 100), &limits(1, 1));
    let (requests, live) = permits.begin_call(WAITS, TimeMs(1_100));
    assert_eq!((requests.held, live.held), (0, 0));
    // Permits for requests count as spent once they are given up, so they are kept if the limit is not lower.
    let mut permits = called(&granted(5, 5));
    permits.limits_changed(&limits(100, 100), &limits(200, 100));
    let (requests, live) = permits.begin_call(WAITS, TimeMs(1_100));
    assert_eq!((requests.held, live.held), (5, 0));
}

#[test]
fn a_late_permit_is_free_at_its_own_time() {
    let mut permits = called(&granted(0, 2));
    for now in [TimeMs(1_000), TimeMs(21_000)] {
        permits.until = TimeMs(200_000);
        assert_eq!(permits.take(Policy::Live, now), Taken::Yes);
        permits.end_use(LiveOutcome::Unknown, now);
    }
    let mut late = |now| {
        permits.begin_call(WAITS, now);
        permits.late()
    };
    assert_eq!(late(TimeMs(1_000 + LATE_MS - 1)), 2);
    assert_eq!(late(TimeMs(1_000 + LATE_MS)), 1);
    assert_eq!(late(TimeMs(21_000 + LATE_MS)), 0);
}

#[test]
fn a_gateway_with_few_requests_returns_what_a_burst_has_left() {
    let mut permits = called(&granted(100, 100));
    // One request in each 200 ms: the gateway is never idle.
    for ms in (1_000..1_600).step_by(200) {
        let now = TimeMs(ms);
        assert_eq!(permits.take(Policy::Requests, now), Taken::Yes);
        assert_eq!(permits.take(Policy::Live, now), Taken::Yes);
        permits.end_use(LiveOutcome::Ended, now);
    }
    let now = TimeMs(1_600);
    assert_eq!(permits.return_due(now), ReturnDue::Now);
    let (requests, live) = permits.begin_call(Waiting::default(), now);
    assert!(
        requests.held <= 5 && live.held <= 5,
        "{requests:?} {live:?}"
    );
    permits.end_call(requests, live, &granted(0, 0), now);
    assert_eq!(permits.return_due(TimeMs(1_650)), ReturnDue::Later);
}
