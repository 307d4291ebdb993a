//! Timers: exactly one for each live job. A timer is moved only if it is still at the expected time.

use forebay_shared::{
    job::JobError,
    lane::Event,
    store::{CommitResult, Store, Timer, TimerMove},
    time::TimeMs,
};

use crate::{
    harness::Harness,
    test_lane::{LONG_MS, TestLane},
};

async fn all_timers(store: &dyn Store) -> Vec<Timer> {
    let end = store.now().plus_ms(10 * LONG_MS);
    store.due_timers(end, 1_000).await.unwrap()
}

pub(crate) async fn every_live_job_has_one(engine: impl Harness) {
    let store = engine.store();
    let lane = TestLane::session(&store, "s");
    let (first, second) = (lane.admit().await, lane.admit().await);
    let timers = all_timers(store.as_ref()).await;
    // The timer of the head is due soon. The timer of the second job is due at its deadline.
    assert_eq!(
        timers.iter().map(|timer| timer.job).collect::<Vec<_>>(),
        [first, second]
    );
    assert!(timers.iter().all(|timer| timer.lane == lane.key()));

    let fence = lane.claim(first, "worker-1").await;
    assert_eq!(all_timers(store.as_ref()).await.len(), 2);
    let not_before = store.now().plus_ms(1_234_567);
    let retry = Event::Retry {
        job: first,
        fence,
        not_before,
        tries_max: 5,
        error: JobError::new("overloaded", "try again"),
    };
    lane.apply(&retry).await;
    let timers = all_timers(store.as_ref()).await;
    let first_timer = timers.iter().find(|timer| timer.job == first).unwrap();
    assert_eq!((first_timer.at, timers.len()), (not_before, 2));

    lane.apply(&Event::Cancel { job: first }).await;
    let timers = all_timers(store.as_ref()).await;
    assert_eq!((timers[0].job, timers.len()), (second, 1));
    lane.apply(&Event::Cancel { job: second }).await;
    assert_eq!(all_timers(store.as_ref()).await, []);
}

pub(crate) async fn come_due_in_order_and_within_the_limit(engine: impl Harness) {
    let store = engine.store();
    let start = store.now().plus_ms(LONG_MS);
    // The timers are not set in the order in which they are due.
    for offset_ms in [300, 100, 500, 200, 400] {
        let lane = TestLane::without_session(&store);
        let job = lane.admit().await;
        let found = all_timers(store.as_ref()).await;
        let from = found.iter().find(|timer| timer.job == job).unwrap().at;
        let to = start.plus_ms(offset_ms);
        let moved = store.move_timers(&[TimerMove { job, from, to }]).await;
        assert_eq!(moved.unwrap(), [true]);
    }
    let due = |offset_ms: u64, limit: usize| {
        let store = store.clone();
        async move {
            let end = start.plus_ms(offset_ms);
            let due = store.due_timers(end, limit).await.unwrap();
            let offset = |timer: &Timer| timer.at.since_ms(start);
            due.iter().map(offset).collect::<Vec<_>>()
        }
    };
    assert_eq!(due(99, 10).await, [0; 0]);
    assert_eq!(due(100, 10).await, [100]);
    assert_eq!(due(450, 10).await, [100, 200, 300, 400]);
    assert_eq!(due(450, 2).await, [100, 200]);
}

pub(crate) async fn move_only_if_they_have_not_changed(engine: impl Harness) {
    let store = engine.store();
    let lane = TestLane::without_session(&store);
    let job = lane.admit().await;
    let timer = all_timers(store.as_ref()).await[0].clone();
    let (from, to) = (timer.at, timer.at.plus_ms(777));
    let unknown = TestLane::without_session(&store).new_job_id();
    let moves = [
        TimerMove {
            job,
            from: from.plus_ms(1),
            to: TimeMs(1),
        },
        TimerMove { job, from, to },
        // The second move has already changed this timer.
        TimerMove {
            job,
            from,
            to: TimeMs(1),
        },
        TimerMove {
            job: unknown,
            from,
            to,
        },
    ];
    let moved = store.move_timers(&moves).await.unwrap();
    assert_eq!(moved, [false, true, false, false]);
    let timers = all_timers(store.as_ref()).await;
    assert_eq!(timers, [Timer { at: to, ..timer }]);
    assert_eq!(store.move_timers(&[]).await.unwrap(), [false; 0]);
}

pub(crate) async fn are_removed_only_if_their_lane_does_not_have_the_job(engine: impl Harness) {
    let store = engine.store();
    let lane = TestLane::session(&store, "s");
    let (head, orphan, second) = (lane.admit().await, lane.admit().await, lane.admit().await);
    // The job leaves its lane, and its timer stays behind.
    let loaded = lane.load(&[]).await;
    let cancel = Event::Cancel { job: orphan };
    let (mut commit, _) = lane.build_commit(&loaded, &cancel, Vec::new()).unwrap();
    commit.ended.clear();
    commit.timers.clear();
    let committed = store.commit(&commit).await.unwrap();
    assert!(matches!(committed, CommitResult::Done(_)));
    let timers = all_timers(store.as_ref()).await;
    assert_eq!(timers.len(), 3, "the timer stayed behind");
    let of = |job| timers.iter().find(|timer| timer.job == job).unwrap();
    let moved = Timer {
        at: of(orphan).at.plus_ms(1),
        ..of(orphan).clone()
    };
    let unknown = Timer {
        job: lane.new_job_id(),
        ..of(orphan).clone()
    };
    let suspects = [
        of(head).clone(),
        moved,
        unknown,
        of(orphan).clone(),
        of(second).clone(),
        of(orphan).clone(),
    ];
    let removed = store.remove_orphan_timers(&suspects).await.unwrap();
    assert_eq!(removed, [false, false, false, true, false, false]);
    let left = all_timers(store.as_ref()).await;
    let left: Vec<_> = left.iter().map(|timer| timer.job).collect();
    assert_eq!(left, [head, second]);
    assert_eq!(store.remove_orphan_timers(&[]).await.unwrap(), [false; 0]);
}

pub(crate) async fn of_many_partitions_move_in_one_call(engine: impl Harness) {
    let store = engine.store();
    let mut lanes = Vec::new();
    for _ in 0..400 {
        let lane = TestLane::without_session(&store);
        lanes.push((lane.admit().await, lane));
    }
    let start = store.now().plus_ms(LONG_MS);
    let timers = all_timers(store.as_ref()).await;
    // Each tenth head has been claimed, which moves its timer.
    for (job, lane) in lanes.iter().step_by(10) {
        lane.claim(*job, "worker-1").await;
    }
    let claimed: Vec<_> = lanes.iter().step_by(10).map(|(job, _)| *job).collect();
    let moves = timers.iter().zip(0..).map(|(timer, offset_ms)| TimerMove {
        job: timer.job,
        from: timer.at,
        to: start.plus_ms(offset_ms),
    });
    let moves: Vec<_> = moves.collect();
    let moved = store.move_timers(&moves).await.unwrap();
    let timers_after = all_timers(store.as_ref()).await;
    for (timer_move, is_moved) in moves.iter().zip(moved) {
        assert_eq!(is_moved, !claimed.contains(&timer_move.job));
        let timer = timers_after
            .iter()
            .find(|timer| timer.job == timer_move.job);
        assert_eq!(timer.unwrap().at == timer_move.to, is_moved);
    }
}
