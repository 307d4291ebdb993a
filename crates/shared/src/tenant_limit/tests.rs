//! Examples of the rule. `simulation`: gateways with random requests.

mod simulation;

use serde_json::json;

use super::*;
use crate::{
    document::{self, UnknownFields},
    ids::ProcessId,
    time::TimeMs,
};

fn process(name: &str) -> ProcessId {
    ProcessId::parse(name).expect("a process id")
}

fn limits(requests: Option<(u32, u32)>, live_jobs: Option<u32>) -> TenantLimits {
    TenantLimits {
        requests: requests.map(|(quota, window_s)| RequestLimit { quota, window_s }),
        live_jobs: live_jobs.map(|quota| LiveJobLimit { quota }),
        ..TenantLimits::default()
    }
}

/// A document, and calls of gateways.
struct Scene {
    usage: TenantUsage,
    limits: TenantLimits,
    now: u64,
}

impl Scene {
    fn new(limits: TenantLimits) -> Self {
        Self {
            usage: TenantUsage::default(),
            limits,
            now: 1_000,
        }
    }

    fn call(&mut self, name: &str, requests: RequestPermits, live: LivePermits) -> Grant {
        let request = LeaseRequest {
            process: &process(name),
            now: TimeMs(self.now),
            requests,
            live,
        };
        let (usage, grant) = lease(self.usage.clone(), &self.limits, &request);
        self.usage = usage;
        grant
    }

    fn requests(&mut self, name: &str, held: u64, wanted: u64) -> Grant {
        let window = self.usage.window.as_ref().map(|window| window.begins_at);
        let requests = RequestPermits {
            window,
            held,
            returned: 0,
            wanted,
            expected: 0,
        };
        self.call(name, requests, LivePermits::default())
    }

    fn live(&mut self, name: &str, held: u64, wanted: u64, jobs: u64) -> Grant {
        let live = LivePermits {
            held,
            wanted,
            expected: 0,
            jobs: Some(jobs),
        };
        self.call(name, RequestPermits::default(), live)
    }
}

#[test]
fn a_window_begins_with_its_first_request_and_ends_after_its_length() {
    let mut scene = Scene::new(limits(Some((10, 60)), None));
    assert_eq!(scene.requests("a", 0, 0).window, None);
    let first = scene.requests("a", 0, 1);
    assert_eq!(first.window, Some((TimeMs(1_000), TimeMs(61_000))));
    assert_eq!((first.requests, first.requests_left), (1, 9));
    scene.now = 60_999;
    let last = scene.requests("a", 0, 100);
    assert_eq!((last.requests, last.requests_left), (9, 0));
    assert_eq!(scene.requests("b", 0, 1).requests, 0);
    scene.now = 61_000;
    let next = scene.requests("b", 0, 1);
    assert_eq!(next.window, Some((TimeMs(61_000), TimeMs(121_000))));
    assert_eq!((next.requests, next.requests_left), (1, 9));
    // The permits of the earlier window are void.
    let requests = RequestPermits {
        window: Some(TimeMs(1_000)),
        held: 5,
        returned: 2,
        wanted: 1,
        expected: 0,
    };
    let late = scene.call("a", requests, LivePermits::default());
    assert_eq!((late.requests, late.requests_left), (1, 8));
}

#[test]
fn a_lease_grows_with_what_is_expected_and_shrinks_with_what_remains() {
    let mut scene = Scene::new(limits(Some((400, 60)), None));
    // A fortieth of the quota, beyond what is wanted.
    let small = scene.requests("a", 0, 1);
    assert_eq!((small.requests, small.requests_kept_max), (11, 10));
    let requests = |held, expected| RequestPermits {
        window: Some(TimeMs(1_000)),
        held,
        returned: 0,
        wanted: 1,
        expected,
    };
    let large = scene.call("a", requests(0, 1_000), LivePermits::default());
    // A quarter of 400 - 11 - 1.
    assert_eq!(large.requests, 1 + 97);
    assert_eq!(large.requests_left, 400 - 11 - 98);
    // A second gateway halves the shares.
    let other = scene.call("b", requests(0, 1_000), LivePermits::default());
    assert_eq!((other.requests, other.requests_kept_max), (1 + 36, 5));
    assert_eq!(other.requests_left, 400 - 11 - 98 - 37);
    // What is returned can be leased again.
    let returns = RequestPermits {
        returned: 50,
        wanted: 0,
        ..requests(8, 0)
    };
    let returned = scene.call("a", returns, LivePermits::default());
    assert_eq!(
        (returned.requests, returned.requests_left),
        (0, 400 - 11 - 40 - 8 - 37),
        "40 were spent"
    );
    let all = scene.requests("b", 0, 1_000);
    assert_eq!(all.requests, 400 - 11 - 40 - 8 - 37);
    assert_eq!(scene.requests("b", 0, 1).requests, 0);
    assert_eq!(scene.requests("a", 7, 1).requests, 0, "7 of the 8 are left");
}

#[test]
fn a_small_quota_is_granted_to_the_last_permit() {
    let mut scene = Scene::new(limits(Some((3, 60)), Some(3)));
    for left in [2, 1, 0] {
        let grant = scene.requests("a", 0, 1);
        assert_eq!((grant.requests, grant.requests_left), (1, left));
    }
    assert_eq!(scene.requests("a", 0, 1).requests, 0);
    for jobs in 0..3 {
        assert_eq!(scene.live("b", 0, 1, jobs).live, 1, "{jobs} jobs");
    }
    assert_eq!(scene.live("b", 0, 1, 3).live, 0);
}

#[test]
fn permits_for_requests_whose_grant_was_not_received_are_lost_in_their_window() {
    let mut scene = Scene::new(limits(Some((10, 60)), None));
    assert_eq!(scene.requests("a", 0, 4).requests, 4);
    let again = scene.requests("a", 0, 4);
    assert_eq!((again.requests, again.requests_left), (4, 2));
    // A gateway cannot hold more than it has leased.
    assert_eq!(scene.requests("a", 100, 0).requests_left, 2);
}

#[test]
fn live_jobs_and_the_leases_of_all_gateways_stay_within_the_limit() {
    let mut scene = Scene::new(limits(None, Some(10)));
    assert_eq!(scene.live("a", 0, 4, 0).live, 4);
    let other = scene.live("b", 0, 10, 1);
    // One of the four is a live job already. It counts twice until the next call of its gateway.
    assert_eq!((other.live, other.live_left), (5, Some(0)));
    let settled = scene.live("a", 3, 1, 1);
    assert_eq!((settled.live, settled.live_left), (1, Some(0)));
    assert_eq!(scene.live("a", 4, 1, 1).live, 0);
    // Without a count, permits are only returned.
    let live = LivePermits {
        held: 0,
        wanted: 0,
        expected: 0,
        jobs: None,
    };
    let returned = scene.call("a", RequestPermits::default(), live);
    assert_eq!((returned.live, returned.live_left), (0, None));
    assert_eq!(scene.live("b", 5, 10, 1).live, 4);
    // A lowered limit grants nothing until enough jobs have ended.
    scene.limits = limits(None, Some(5));
    assert_eq!(scene.live("b", 0, 1, 5).live, 0);
    assert_eq!(scene.live("b", 0, 1, 4).live, 1);
}

#[test]
fn the_lease_of_a_dead_gateway_expires() {
    let mut scene = Scene::new(limits(Some((10, 600)), Some(10)));
    let all = |jobs| LivePermits {
        held: 0,
        wanted: 10,
        expected: 0,
        jobs: Some(jobs),
    };
    let requests = RequestPermits {
        wanted: 4,
        ..RequestPermits::default()
    };
    let dead = scene.call("dead", requests, all(0));
    assert_eq!((dead.requests, dead.live), (4, 10));
    scene.now = dead.until.0 - 1;
    assert_eq!(scene.live("a", 0, 1, 0).live, 0);
    scene.now = dead.until.0;
    assert_eq!(scene.live("a", 0, 10, 2).live, 8);
    assert!(!scene.usage.leases.contains_key(&process("dead")));
    // Nobody knows which of its permits for requests were spent.
    let rest = scene.requests("a", 0, 10);
    assert_eq!((rest.requests, rest.requests_left), (6, 0));
}

#[test]
fn a_limit_that_is_not_set_grants_nothing_and_keeps_nothing() {
    let mut scene = Scene::new(limits(Some((10, 60)), Some(10)));
    scene.requests("a", 0, 1);
    scene.limits = limits(None, None);
    let grant = scene.requests("a", 0, 1);
    assert_eq!((grant.window, grant.requests), (None, 0));
    assert_eq!((grant.live, grant.live_left), (0, None));
    assert_eq!(scene.usage, TenantUsage::default());
}

#[test]
fn the_stored_documents_keep_what_a_newer_release_adds() {
    let stored = json!({
        "v": 1,
        "window": {"begins_at": 1_000, "used": 3, "new": 1},
        "leases": {"a": {"requests": 1, "live": 2, "until": 9_000, "new": 2}},
        "new": 3,
    });
    let text = stored.to_string();
    let usage: TenantUsage = document::read(text.as_bytes()).expect("the document is read");
    assert_eq!(serde_json::to_value(&usage).expect("JSON"), stored);
    let mut scene = Scene::new(limits(Some((10, 60)), Some(10)));
    scene.usage = usage;
    scene.live("a", 2, 1, 0);
    let changed = serde_json::to_value(&scene.usage).expect("JSON");
    assert_eq!(changed["new"], 3);
    assert_eq!(changed["window"]["new"], 1);
    assert_eq!(changed["leases"]["a"]["new"], 2);

    let stored = json!({
        "v": 1,
        "requests": {"quota": 100, "window_s": 60},
        "live_jobs": {"quota": 50},
        "tokens": {"quota": 1},
    });
    let limits: TenantLimits = document::read(stored.to_string().as_bytes()).expect("limits");
    assert_eq!(serde_json::to_value(&limits).expect("JSON"), stored);
    assert_ne!(limits.unknown, UnknownFields::NONE);
}

/// One gateway is idle, and has returned what it may not keep. The other one gets at least 95 % of the limit, and exactly all if
/// the quota is too small for a share.
#[test]
fn an_idle_gateway_keeps_little() {
    for quota in [1, 2, 10, 39, 40, 80, 200, 1_000, 1_000_000] {
        let mut scene = Scene::new(limits(Some((quota, 60)), Some(quota)));
        let first = scene.requests("idle", 0, 1);
        let kept = first.requests_kept_max.min(first.requests - 1);
        assert_eq!(scene.requests("idle", kept, 0).requests, 0);
        let live = scene.live("idle", 0, 1, 0);
        let live_kept = live.live_kept_max.min(live.live - 1);
        scene.live("idle", live_kept, 0, 1);
        let (mut requests, mut jobs) = (1, 1);
        loop {
            let grant = scene.requests("busy", 0, 1);
            let live = scene.live("busy", 0, 1, jobs);
            (requests, jobs) = (requests + grant.requests, jobs + live.live);
            assert!(
                requests.max(jobs) <= u64::from(quota),
                "{requests}, {jobs} of {quota}"
            );
            if (grant.requests, live.live) == (0, 0) {
                break;
            }
        }
        let quota = u64::from(quota);
        for used in [requests, jobs] {
            assert!(
                used * 100 >= quota * 95 && used <= quota,
                "{used} of {quota}"
            );
            assert!(quota >= 40 || used == quota, "{used} of {quota}");
        }
    }
}
