//! The search for heads of lanes by their state.

use std::collections::BTreeSet;

use forebay_shared::{
    class::Class,
    ids::LaneKey,
    job::JobError,
    lane::Event,
    store::{Head, HeadFilter, Store},
};

use crate::{
    harness::Harness,
    test_lane::{LONG_MS, TestLane, worker},
};

pub(crate) async fn are_found_by_their_state(engine: impl Harness) {
    let store = engine.store();
    let ready = TestLane::session(&store, "ready");
    let mut batch = TestLane::session(&store, "batch");
    batch.class = Class::Batch;
    let (running, waiting) = (
        TestLane::session(&store, "running"),
        TestLane::session(&store, "waiting"),
    );
    let head_of_ready = ready.admit().await;
    ready.admit().await;
    let head_of_batch = batch.admit().await;
    let head_of_running = running.admit().await;
    running.claim(head_of_running, "worker-7").await;
    // No filter finds this head, because it waits for its next try.
    let head_of_waiting = waiting.admit().await;
    let retry = Event::Retry {
        job: head_of_waiting,
        fence: waiting.claim(head_of_waiting, "worker-7").await,
        not_before: store.now().plus_ms(LONG_MS),
        tries_max: 5,
        error: JobError::new("overloaded", "try again"),
    };
    waiting.apply(&retry).await;
    // This lane has no head.
    TestLane::session(&store, "idle").complete(&[]).await;

    let timers = store
        .due_timers(store.now().plus_ms(9 * LONG_MS), 100)
        .await;
    let timers = timers.unwrap();
    let expected = [
        (
            HeadFilter::Ready(Class::Interactive),
            &ready,
            head_of_ready,
            None,
        ),
        (HeadFilter::Ready(Class::Batch), &batch, head_of_batch, None),
        (
            HeadFilter::Running,
            &running,
            head_of_running,
            Some(worker("worker-7")),
        ),
    ];
    for (filter, lane, job, expected_worker) in expected {
        let found = store.heads(filter.clone(), None, 100).await.unwrap().heads;
        assert_eq!(found.len(), 1, "heads for {filter:?}");
        let timer = timers.iter().find(|timer| timer.job == job).unwrap();
        assert_eq!(found[0].lane, lane.key());
        assert_eq!((found[0].job, found[0].timer), (job, timer.at));
        assert_eq!(found[0].worker, expected_worker);
        let loaded = lane.load(&[]).await.lane;
        let head = loaded.head().unwrap();
        let times = (found[0].admitted_at, found[0].deadline);
        assert_eq!(times, (head.admitted_at, head.deadline));
    }
}

pub(crate) async fn are_paged_without_gaps_or_repeats(engine: impl Harness) {
    let store = engine.store();
    let (mut ready, mut running) = (BTreeSet::new(), BTreeSet::new());
    for number in 0..24 {
        let session = format!("session-{number}");
        for lane in [
            TestLane::session(&store, &session),
            TestLane::without_session(&store),
        ] {
            let job = lane.admit().await;
            if number % 2 == 0 {
                ready.insert(lane.key());
            } else {
                lane.claim(job, "worker-1").await;
                running.insert(lane.key());
            }
        }
    }
    let filters = [
        (HeadFilter::Ready(Class::Interactive), ready),
        (HeadFilter::Running, running),
    ];
    for (filter, expected) in filters {
        for limit in [1, 5, 24, 100] {
            let lanes = read_all_pages(store.as_ref(), &filter, limit).await;
            assert_eq!(lanes.len(), expected.len(), "{filter:?}, limit {limit}");
            assert_eq!(lanes.into_iter().collect::<BTreeSet<_>>(), expected);
        }
    }
}

async fn read_all_pages(store: &dyn Store, filter: &HeadFilter, limit: usize) -> Vec<LaneKey> {
    let mut seen: Vec<Head> = Vec::new();
    loop {
        let page = store.heads(filter.clone(), seen.last(), limit).await;
        let page = page.unwrap();
        assert!(page.heads.len() <= limit);
        seen.extend(page.heads);
        if page.is_last {
            let after_last = store.heads(filter.clone(), seen.last(), limit).await;
            let after_last = after_last.unwrap();
            assert!(after_last.heads.is_empty() && after_last.is_last);
            return seen.into_iter().map(|head| head.lane).collect();
        }
        assert!(seen.len() <= 100, "the pages do not end");
    }
}
