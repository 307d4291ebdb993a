//! The counts, timers and indexes of heads, after random events on many lanes.

use std::collections::{BTreeMap, BTreeSet};

use forebay_shared::{
    account::AccountKey,
    class::Class,
    ids::{JobId, LaneKey, TenantId},
    job::JobError,
    lane::{ClassCounts, Event, HeadState, IfBusy, Lane, LaneCounts, ReleaseReason, State},
    store::{DeferredCount, HeadFilter, Store, TenantClassCounts},
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::{
    harness::{Harness, wait_until},
    test_lane::{LONG_MS, TestLane, worker},
};

const STEPS: usize = 400;

pub(crate) async fn equal_the_sums_over_all_lanes(engine: impl Harness) {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let store = engine.store();
    let tenants = ["default", "other"].map(|tenant| TenantId::parse(tenant).unwrap());
    let mut lanes = Vec::new();
    for tenant in &tenants {
        for name in ["a", "b", "c"] {
            lanes.push(TestLane::of_tenant(&store, tenant.clone(), Some(name)));
        }
        lanes.push(TestLane::of_tenant(&store, tenant.clone(), None));
    }
    let mut ended: BTreeMap<(TenantId, Class), u64> = BTreeMap::new();
    let mut applied = 0;
    for step in 0..STEPS {
        let index = random.random_range(0..lanes.len());
        let lane = &mut lanes[index];
        lane.class = Class::ALL[random.random_range(0..2)];
        let loaded = lane.load(&[]).await.lane;
        let event = random_event(&mut random, lane, &loaded);
        if let Ok(effects) = lane.try_apply(&event, Vec::new()).await {
            applied += 1;
            for ending in effects.ended {
                let key = (lane.tenant.clone(), ending.entry.class);
                *ended.entry(key).or_default() += 1;
            }
        }
        if step % 50 == 0 || step + 1 == STEPS {
            assert_consistent(store.as_ref(), &lanes, &ended).await;
        }
    }
    assert!(applied > STEPS / 4, "only {applied} steps had an effect");
}

pub(crate) async fn that_are_recent_catch_up_with_new_commits(engine: impl Harness) {
    let store = engine.store();
    let lane = TestLane::session(&store, "s");
    lane.admit().await;
    let first = store.recent_counts().await.unwrap();
    assert_eq!(first.counts.live(), 1);
    lane.admit().await;
    let second = store.recent_counts().await.unwrap();
    let is_old = second.counts == first.counts;
    assert!(is_old || second.counts.live() == 2, "{second:?}");
    wait_until(async || store.recent_counts().await.unwrap().counts.live() == 2).await;
    assert_eq!(store.counts().await.unwrap().live(), 2);
}

fn random_event(random: &mut StdRng, lane: &TestLane, loaded: &Lane) -> Event {
    let now = lane.store.now();
    let worker = worker(["worker-1", "worker-2"][random.random_range(0..2)]);
    let count = loaded.entries.len();
    if count == 0 || random.random_ratio(3, 10) {
        let mut admission = lane.admission(lane.new_job_id());
        // Some jobs have expired already, so that a tick ends them.
        if random.random_ratio(1, 8) {
            admission.deadline = now;
        }
        admission.is_tool_results = random.random_ratio(1, 6);
        admission.if_busy = match random.random_range(0..12) {
            0 => IfBusy::Rollback,
            1 => IfBusy::Interrupt,
            2 => IfBusy::Reject,
            _ => IfBusy::Enqueue,
        };
        return Event::Admit(admission);
    }
    let head = &loaded.entries[0];
    let (job, fence) = (head.job, head.fence);
    let any_job = loaded.entries[random.random_range(0..count)].job;
    let error = JobError::new("overloaded", "try again");
    let is_running = matches!(head.state, State::Running { .. });
    let account = AccountKey::of_provider(["acme", "other"][random.random_range(0..2)]);
    match random.random_range(0..14) {
        0 => Event::Cancel { job: any_job },
        1 => Event::Tick {
            job: any_job,
            live: None,
        },
        2 | 3 if is_running => Event::Retry {
            job,
            fence,
            not_before: now.plus_ms([0, LONG_MS][random.random_range(0..2)]),
            tries_max: 3,
            error,
        },
        4 if is_running => Event::Release {
            job,
            fence,
            reason: ReleaseReason::WorkerStops,
        },
        5..=9 if is_running => Event::Finish {
            job,
            fence,
            error: random.random_ratio(1, 3).then_some(error),
            hold_ms: random.random_ratio(1, 3).then_some(LONG_MS),
        },
        10..=12 => Event::Defer {
            job,
            fence: is_running.then_some(fence),
            account,
            error,
        },
        13 => Event::Resume { job },
        _ => Event::Claim {
            job,
            worker,
            repeated_fence: None,
            limit_ms: LONG_MS,
        },
    }
}

/// Asserts that the counts, the timers and the index of heads agree with the documents of all lanes.
async fn assert_consistent(
    store: &dyn Store,
    lanes: &[TestLane],
    ended: &BTreeMap<(TenantId, Class), u64>,
) {
    let mut live: BTreeMap<(TenantId, Class), ClassCounts> = BTreeMap::new();
    let mut jobs = BTreeSet::new();
    let mut oldest_waiting = BTreeMap::new();
    let mut deferred: BTreeMap<(AccountKey, Class), BTreeSet<(LaneKey, JobId)>> = BTreeMap::new();
    let mut waiting_jobs: BTreeMap<(AccountKey, Class), u64> = BTreeMap::new();
    let mut heads: BTreeMap<&str, BTreeSet<(LaneKey, JobId)>> = BTreeMap::new();
    for test_lane in lanes {
        let lane = test_lane.load(&[]).await.lane;
        for class in Class::ALL {
            let key = (test_lane.tenant.clone(), class);
            *live.entry(key).or_default() += LaneCounts::of(&lane)[class];
        }
        for entry in &lane.entries {
            jobs.insert((test_lane.key(), entry.job));
            if !matches!(entry.state, State::Running { .. }) {
                let key = (test_lane.tenant.clone(), entry.class);
                let oldest = oldest_waiting.entry(key).or_insert(entry.admitted_at);
                *oldest = entry.admitted_at.min(*oldest);
            }
        }
        let kind = match lane.head_state() {
            Some(HeadState::Running(_)) => "running",
            Some(HeadState::Ready(class)) => class.as_str(),
            Some(HeadState::Deferred(account, class)) => {
                let head = (test_lane.key(), lane.entries[0].job);
                let key = (account, class);
                *waiting_jobs.entry(key.clone()).or_default() += lane.entries.len() as u64;
                deferred.entry(key).or_default().insert(head);
                continue;
            }
            Some(HeadState::Waiting) | None => continue,
        };
        let head = (test_lane.key(), lane.entries[0].job);
        heads.entry(kind).or_default().insert(head);
    }

    let counts = store.counts().await.unwrap();
    for (key, expected_live) in &live {
        let has_key = |row: &&TenantClassCounts| (&row.tenant, row.class) == (&key.0, key.1);
        let row = counts.rows.iter().find(has_key);
        let found_live = row.map(|row| row.live).unwrap_or_default();
        assert_eq!(found_live, *expected_live, "live jobs of {key:?}");
        let found_ended = row.map_or(0, |row| row.ended);
        let expected_ended = ended.get(key).copied().unwrap_or(0);
        assert_eq!(found_ended, expected_ended, "ended jobs of {key:?}");
        let found_oldest = row.and_then(|row| row.oldest_waiting);
        assert_eq!(
            found_oldest,
            oldest_waiting.get(key).copied(),
            "oldest waiting job of {key:?}"
        );
    }
    for tenant in live.keys().map(|(tenant, _)| tenant) {
        let classes = Class::ALL.map(|class| live[&(tenant.clone(), class)].live());
        let found = store.live_jobs_of(tenant).await.unwrap();
        assert_eq!(i64::try_from(found), Ok(classes.iter().sum()), "{tenant}");
    }

    let after_all_timers = store.now().plus_ms(9 * LONG_MS);
    let timers = store.due_timers(after_all_timers, 1_000).await.unwrap();
    assert_eq!(
        timers.len(),
        jobs.len(),
        "each live job must have exactly one timer"
    );
    let jobs_with_timer: BTreeSet<_> = timers
        .into_iter()
        .map(|timer| (timer.lane, timer.job))
        .collect();
    assert_eq!(jobs_with_timer, jobs);

    let filters = [
        (HeadFilter::Running, "running"),
        (HeadFilter::Ready(Class::Interactive), "interactive"),
        (HeadFilter::Ready(Class::Batch), "batch"),
    ];
    for (filter, kind) in filters {
        let found = store.heads(filter, None, 1_000).await.unwrap().heads;
        let found: BTreeSet<_> = found
            .into_iter()
            .map(|head| (head.lane, head.job))
            .collect();
        let expected = heads.remove(kind).unwrap_or_default();
        assert_eq!(found, expected, "{kind} heads");
    }

    let mut expected_counts = Vec::new();
    for ((account, class), heads) in deferred {
        let found = store.deferred_heads(&account, class, 1_000).await.unwrap();
        let found: BTreeSet<_> = found
            .into_iter()
            .map(|head| (head.lane, head.job))
            .collect();
        assert_eq!(found, heads, "heads that wait for {account}");
        expected_counts.push(DeferredCount {
            jobs: waiting_jobs[&(account.clone(), class)],
            account,
            class,
            heads: heads.len() as u64,
        });
    }
    let mut found_counts = counts.deferred;
    found_counts
        .sort_by(|one, other| (&one.account, one.class).cmp(&(&other.account, other.class)));
    assert_eq!(found_counts, expected_counts);
}

pub(crate) async fn include_the_oldest_waiting_job(engine: impl Harness) {
    let store = engine.store();
    let (first, second) = (
        TestLane::session(&store, "a"),
        TestLane::session(&store, "b"),
    );
    let (older, newer) = (first.admit().await, second.admit().await);
    let head_admitted_at = |lane: Lane| lane.entries[0].admitted_at;
    let older_at = head_admitted_at(first.load(&[]).await.lane);
    let newer_at = head_admitted_at(second.load(&[]).await.lane);
    let oldest = || async {
        let counts = store.counts().await.unwrap();
        counts.class(Class::Interactive).oldest_waiting
    };
    assert_eq!(oldest().await, Some(older_at.min(newer_at)));
    let fence = first.claim(older, "worker-1").await;
    assert_eq!(oldest().await, Some(newer_at));
    // A released job counts as waiting since its admission.
    first
        .apply(&Event::Release {
            job: older,
            fence,
            reason: ReleaseReason::WorkerStops,
        })
        .await;
    assert_eq!(oldest().await, Some(older_at.min(newer_at)));
    first.apply(&Event::Cancel { job: older }).await;
    second.claim(newer, "worker-1").await;
    assert_eq!(oldest().await, None);
}
