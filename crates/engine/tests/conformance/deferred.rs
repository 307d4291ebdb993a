//! The index of deferred heads: every commit that changes a lane's head keeps it up to date.

use std::{collections::BTreeMap, sync::Arc};

use forebay_shared::{
    account::AccountKey,
    class::Class,
    ids::{JobId, LaneKey, TenantId},
    lane::{Event, IfBusy, LiveProcesses},
    store::{DeferredCount, Store},
};

use crate::{
    harness::{Harness, wait_until_passed},
    test_lane::{TestLane, worker},
};

fn acme() -> AccountKey {
    AccountKey::of_provider("acme")
}

/// The lanes and jobs of the interactive heads that wait for an account, in the store's order.
async fn deferred(store: &dyn Store, account: &AccountKey) -> Vec<(LaneKey, JobId)> {
    let found = store.deferred_heads(account, Class::Interactive, 1_000);
    let found = found.await.unwrap().into_iter();
    found.map(|head| (head.lane, head.job)).collect()
}

/// Asserts that the index has exactly this job of the lane, or no entry.
async fn assert_deferred(lane: &TestLane, job: Option<JobId>) {
    let jobs = lane.load(&[]).await.lane.entries.len() as u64;
    let found = deferred(lane.store.as_ref(), &acme()).await;
    let expected: Vec<_> = job.into_iter().map(|job| (lane.key(), job)).collect();
    assert_eq!(found, expected);
    let counts = lane.store.counts().await.unwrap();
    let expected = job.map(|_| DeferredCount {
        account: acme(),
        class: Class::Interactive,
        heads: 1,
        jobs,
    });
    assert_eq!(counts.deferred, Vec::from_iter(expected));
    let live = counts.class(Class::Interactive).live;
    assert_eq!(live.provider_wait, i64::from(job.is_some()));
}

pub(crate) async fn are_indexed_until_a_worker_may_run_them(engine: impl Harness) {
    let lane = TestLane::session(&engine.store(), "s");
    let job = lane.admit().await;
    assert_deferred(&lane, None).await;
    lane.defer(job, None, &acme()).await;
    assert_deferred(&lane, Some(job)).await;
    // A claim after a wake that came too early and the tick of an early timer leave the head deferred.
    let claim = Event::Claim {
        job,
        worker: worker("worker-1"),
        repeated_fence: None,
        limit_ms: 1_000,
    };
    lane.apply(&claim).await;
    lane.apply(&Event::Tick { job, live: None }).await;
    assert_deferred(&lane, Some(job)).await;
    lane.apply(&Event::Resume { job }).await;
    assert_deferred(&lane, None).await;
    // The provider refuses the call.
    let fence = lane.claim(job, "worker-1").await;
    lane.defer(job, Some(fence), &acme()).await;
    assert_deferred(&lane, Some(job)).await;
    // The head may wait for another account now.
    lane.apply(&Event::Resume { job }).await;
    let other = AccountKey::of_model("acme", "small");
    lane.defer(job, None, &other).await;
    assert_deferred_elsewhere(&lane, job, &other).await;
    lane.apply(&Event::Resume { job }).await;
    let fence = lane.claim(job, "worker-1").await;
    lane.finish(job, fence, &[]).await;
    assert_deferred(&lane, None).await;
}

async fn assert_deferred_elsewhere(lane: &TestLane, job: JobId, account: &AccountKey) {
    let store = lane.store.as_ref();
    assert_eq!(deferred(store, &acme()).await, []);
    assert_eq!(deferred(store, account).await, [(lane.key(), job)]);
}

pub(crate) async fn leave_the_index_when_they_end(engine: impl Harness) {
    let lane = TestLane::session(&engine.store(), "s");
    let account = acme();
    let first = lane.admit_deferred(&account).await;
    // Jobs behind the head change only the number of waiting jobs.
    let (second, third) = (lane.admit().await, lane.admit().await);
    assert_deferred(&lane, Some(first)).await;
    lane.apply(&Event::Cancel { job: second }).await;
    assert_deferred(&lane, Some(first)).await;
    lane.apply(&Event::Cancel { job: first }).await;
    assert_deferred(&lane, None).await;
    // A new job replaces the live jobs.
    for if_busy in [IfBusy::Rollback, IfBusy::Interrupt] {
        let head = lane.load(&[]).await.lane.entries[0].job;
        lane.defer(head, None, &account).await;
        assert_deferred(&lane, Some(head)).await;
        let mut admission = lane.admission(lane.new_job_id());
        admission.if_busy = if_busy;
        lane.apply(&Event::Admit(admission)).await;
        assert_deferred(&lane, None).await;
    }
    assert!(lane.load(&[]).await.lane.find(third).is_none());
    // A deadline passes.
    let lane = TestLane::without_session(&lane.store);
    let job = lane.new_job_id();
    let mut admission = lane.admission(job);
    // A job past its deadline cannot be deferred. So the deadline is late enough for a busy machine.
    admission.deadline = lane.store.now().plus_ms(5_000);
    lane.apply(&Event::Admit(admission.clone())).await;
    lane.defer(job, None, &account).await;
    assert_deferred(&lane, Some(job)).await;
    wait_until_passed(lane.store.as_ref(), admission.deadline).await;
    lane.apply(&Event::Tick { job, live: None }).await;
    assert_deferred(&lane, None).await;
}

pub(crate) async fn leave_the_index_when_others_take_their_position(engine: impl Harness) {
    let lane = TestLane::session(&engine.store(), "s");
    let account = acme();
    let job = lane.admit_deferred(&account).await;
    let mut results = lane.admission(lane.new_job_id());
    results.is_tool_results = true;
    lane.apply(&Event::Admit(results.clone())).await;
    assert_deferred(&lane, None).await;
    lane.defer(results.job, None, &account).await;
    assert_deferred(&lane, Some(results.job)).await;
    lane.apply(&Event::Cancel { job: results.job }).await;
    assert_deferred(&lane, None).await;

    // An attempt whose worker counts as gone finishes a job that another worker has deferred.
    let fence = lane.claim(job, "worker-1").await;
    let live = LiveProcesses {
        read_at: lane.store.now().plus_ms(1),
        alive: Arc::default(),
    };
    let taken_over = Event::Tick {
        job,
        live: Some(live),
    };
    lane.apply(&taken_over).await;
    lane.defer(job, None, &account).await;
    assert_deferred(&lane, Some(job)).await;
    lane.finish(job, fence, &[]).await;
    assert_deferred(&lane, None).await;
}

pub(crate) async fn come_oldest_first_and_within_the_limit(engine: impl Harness) {
    const LANES: usize = 30;
    let store = engine.store();
    let account = acme();
    let mut admitted = Vec::new();
    for number in 0..LANES {
        let lane = match number % 2 {
            0 => TestLane::session(&store, &format!("session-{number}")),
            _ => TestLane::without_session(&store),
        };
        let job = lane.admit().await;
        let at = lane.load(&[]).await.lane.entries[0].admitted_at;
        wait_until_passed(store.as_ref(), at).await;
        admitted.push((lane, job));
    }
    // The heads are deferred in another order than they were admitted.
    for number in (0..LANES).map(|number| number * 7 % LANES) {
        let (lane, job) = &admitted[number];
        lane.defer(*job, None, &account).await;
    }
    let key = |(lane, job): &(TestLane, JobId)| (lane.key(), *job);
    let expected: Vec<_> = admitted.iter().map(key).collect();
    assert_eq!(deferred(store.as_ref(), &account).await, expected);
    for limit in [1, 7, LANES] {
        let found = store.deferred_heads(&account, Class::Interactive, limit);
        let found = found.await.unwrap().into_iter();
        let found: Vec<_> = found.map(|head| (head.lane, head.job)).collect();
        assert_eq!(found, expected[..limit]);
    }
}

pub(crate) async fn are_found_beyond_the_first_query(engine: impl Harness) {
    // More heads of one partition than the first query of an engine reads from a partition.
    const LANES: usize = 40;
    let store = engine.store();
    let account = acme();
    let mut expected = Vec::new();
    let mut number = 0;
    while expected.len() < LANES {
        let lane = TestLane::session(&store, &format!("session-{number}"));
        number += 1;
        if lane.key().partition() == 7 {
            let job = lane.admit_deferred(&account).await;
            expected.push((lane.key(), job));
        }
    }
    let mut found = deferred(store.as_ref(), &account).await;
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

pub(crate) async fn are_apart_by_account_and_class(engine: impl Harness) {
    let store = engine.store();
    let other_tenant = TenantId::parse("other").unwrap();
    let accounts = [
        acme(),
        AccountKey::of_model("acme", "m|i;1 x"),
        AccountKey::of_model("acme", &"m".repeat(200)),
        AccountKey::of_model("acme", "two\nlines"),
    ];
    let mut expected = Vec::new();
    for (number, account) in accounts.iter().enumerate() {
        for class in Class::ALL {
            let session = format!("{number}-{}", class.as_str());
            let mut heads = Vec::new();
            for tenant in [TenantId::default(), other_tenant.clone()] {
                let mut lane = TestLane::of_tenant(&store, tenant, Some(&session));
                lane.class = class;
                let job = lane.admit_deferred(account).await;
                let at = lane.load(&[]).await.lane.entries[0].admitted_at;
                wait_until_passed(store.as_ref(), at).await;
                heads.push((lane.key(), job));
            }
            expected.push((account, class, heads));
        }
    }
    for (account, class, heads) in &expected {
        let found = store.deferred_heads(account, *class, 1_000).await.unwrap();
        let found: Vec<_> = found
            .into_iter()
            .map(|head| (head.lane, head.job))
            .collect();
        assert_eq!(found, *heads, "{account} {class:?}");
    }
    let counts = store.counts().await.unwrap();
    assert_eq!(counts.deferred.len(), expected.len());
    let two = |count: &DeferredCount| (count.heads, count.jobs) == (2, 2);
    assert!(counts.deferred.iter().all(two), "{:?}", counts.deferred);
    for row in &counts.rows {
        let live = row.live;
        assert_eq!((live.provider_wait, live.live()), (4, 4), "{row:?}");
    }
    let unknown = AccountKey::of_provider("m");
    assert_eq!(deferred(store.as_ref(), &unknown).await, []);
}

pub(crate) async fn are_counted_with_the_jobs_behind_them(engine: impl Harness) {
    let store = engine.store();
    let waiting = async || {
        let counts = store.counts().await.unwrap().deferred;
        assert!(counts.len() <= 1, "{counts:?}");
        counts.first().map(|count| (count.heads, count.jobs))
    };
    let account = acme();
    let (one, other) = (
        TestLane::session(&store, "one"),
        TestLane::session(&store, "other"),
    );
    let mut jobs = Vec::new();
    for _ in 0..4 {
        jobs.push(one.admit().await);
    }
    assert_eq!(waiting().await, None);
    one.defer(jobs[0], None, &account).await;
    assert_eq!(waiting().await, Some((1, 4)));
    let of_other = other.admit_deferred(&account).await;
    assert_eq!(waiting().await, Some((2, 5)));
    // A job behind the head waits for the account too, whatever its class.
    let mut batch = one.admission(one.new_job_id());
    batch.class = Class::Batch;
    one.apply(&Event::Admit(batch)).await;
    assert_eq!(waiting().await, Some((2, 6)));
    one.apply(&Event::Cancel { job: jobs[2] }).await;
    assert_eq!(waiting().await, Some((2, 5)));
    one.apply(&Event::Resume { job: jobs[0] }).await;
    assert_eq!(waiting().await, Some((1, 1)));
    let fence = one.claim(jobs[0], "worker-1").await;
    one.defer(jobs[0], Some(fence), &account).await;
    assert_eq!(waiting().await, Some((2, 5)));
    // The head ends. The next head waits again.
    one.apply(&Event::Cancel { job: jobs[0] }).await;
    assert_eq!(waiting().await, Some((1, 1)));
    one.defer(jobs[1], None, &account).await;
    assert_eq!(waiting().await, Some((2, 4)));
    // Tool results take the position of a head that was never claimed.
    let mut results = one.admission(one.new_job_id());
    results.is_tool_results = true;
    one.apply(&Event::Admit(results.clone())).await;
    assert_eq!(waiting().await, Some((1, 1)));
    one.defer(results.job, None, &account).await;
    assert_eq!(waiting().await, Some((2, 5)));
    other.apply(&Event::Cancel { job: of_other }).await;
    assert_eq!(waiting().await, Some((1, 4)));
    // A new job replaces all others, and the lane has no deferred head.
    let mut newer = one.admission(one.new_job_id());
    newer.if_busy = IfBusy::Rollback;
    one.apply(&Event::Admit(newer)).await;
    assert_eq!(waiting().await, None);
}

pub(crate) async fn show_whether_they_were_claimed(engine: impl Harness) {
    let store = engine.store();
    // An engine may search in another way for a name with a line feed.
    for account in [acme(), AccountKey::of_model("acme", "two\nlines")] {
        let (never, once) = (
            TestLane::without_session(&store),
            TestLane::without_session(&store),
        );
        let unclaimed = never.admit_deferred(&account).await;
        let claimed = once.admit_deferred(&account).await;
        once.apply(&Event::Resume { job: claimed }).await;
        let fence = once.claim(claimed, "worker-1").await;
        once.defer(claimed, Some(fence), &account).await;
        let heads = store.deferred_heads(&account, Class::Interactive, 10).await;
        let heads: BTreeMap<_, _> = heads
            .unwrap()
            .into_iter()
            .map(|head| (head.job, head.claimed))
            .collect();
        let expected = BTreeMap::from([(unclaimed, false), (claimed, true)]);
        assert_eq!(heads, expected, "{account}");
    }
}

pub(crate) async fn survive_a_restart(mut engine: impl Harness) {
    let mut lane = TestLane::session(&engine.store(), "s");
    let job = lane.admit_deferred(&acme()).await;
    engine.restart().await;
    lane.store = engine.store();
    assert_deferred(&lane, Some(job)).await;
    lane.apply(&Event::Resume { job }).await;
    assert_deferred(&lane, None).await;
}
