//! Tests of the loop `wakes`: a timer is parked only once its wake is confirmed, and failures to publish are reported.

use faulty_store::{Fault, StoreCall, StoreMode};
use std::time::Duration;

use forebay_runtime::{
    gauge::Gauge,
    lanes::{LaneChange, Lanes},
    wakes::{WakeRequest, Wakes},
};
use forebay_shared::{
    ids::JobId,
    lane::{PUBLISH_LIMIT_MS, REVISIT_MS},
    store::Timer,
    wake::Wake,
};

use crate::{
    queue::{FakeQueue, QueueMode},
    scene::{PARK_MS, Scene, TIMEOUT, lane, let_tasks_run, new_job_id, pass_ms},
};

/// The most requests that wait to be published. `wakes/handle.rs` has the same constant.
const WAITING_MAX: usize = 65_536;
/// A wake gets no copy of its lane while this many requests wait, or more. `wakes/handle.rs` has the same constant.
const WAITING_WITH_COPY_MAX: usize = 8_192;

fn wake(scene: &Scene, session: &str, job: JobId) -> Wake {
    let entry = scene.entry(session, job);
    Wake {
        v: Wake::VERSION,
        job,
        tenant: lane(session).tenant().clone(),
        session: lane(session).session().cloned(),
        class: entry.class,
        model: None,
        permit: None,
        admitted_at: entry.admitted_at,
        sent_at: scene.now(),
        lane_copy: None,
        traceparent: None,
    }
}

/// Requests the wake of a job, with its current timer.
fn request_wake(scene: &Scene, session: &str, job: JobId) {
    let deadline = scene.entry(session, job).deadline;
    scene.wakes.request(WakeRequest {
        wake: wake(scene, session, job),
        timer: scene.timer(job),
        deadline,
        is_refill: false,
    });
}

#[tokio::test(start_paused = true)]
async fn a_timer_is_parked_once_the_wake_is_confirmed() {
    let scene = Scene::new();
    let job = scene.admit("s", "hello").await;
    let committed = scene.inner_store.state().commits[0].clone();
    let soon = committed.at.plus_ms(PUBLISH_LIMIT_MS);
    assert_eq!(committed.timers, [(job, Some(soon))]);
    let_tasks_run().await;
    assert_eq!(scene.queue.woken(), [job]);
    pass_ms(PARK_MS).await;
    assert_eq!(scene.timer(job), committed.at.plus_ms(REVISIT_MS));
}

#[tokio::test(start_paused = true)]
async fn timers_are_parked_together_once_a_second() {
    let scene = Scene::new();
    let jobs = [
        scene.admit("a", "hello").await,
        scene.admit("b", "hello").await,
    ];
    pass_ms(500).await;
    let claimed = scene.admit("c", "hello").await;
    let_tasks_run().await;
    scene.claim("c", claimed).await;
    let at = scene.timer(claimed);
    assert_eq!(scene.store.call_count(StoreCall::MoveTimers), 0);
    pass_ms(PARK_MS).await;
    assert_eq!(scene.store.call_count(StoreCall::MoveTimers), 1);
    for job in jobs {
        assert!(scene.timer_in_ms(job) > REVISIT_MS - 2_000);
    }
    assert_eq!(scene.timer(claimed), at);
}

#[tokio::test(start_paused = true)]
async fn a_timer_that_is_due_soon_is_parked_at_once() {
    let scene = Scene::new();
    let job = scene.admit_without_wake("s").await;
    pass_ms(PUBLISH_LIMIT_MS - 1_500).await;
    request_wake(&scene, "s", job);
    let_tasks_run().await;
    assert!(scene.timer_in_ms(job) > REVISIT_MS - 10);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_leaves_parks_the_timers_of_confirmed_wakes() {
    let scene = Scene::new();
    let member = scene.join("me");
    pass_ms(100).await;
    let job = new_job_id("s");
    let change = scene.admission("s", job, "hello");
    member.lanes.apply(change, TIMEOUT).await.unwrap();
    let_tasks_run().await;
    assert!(scene.timer_in_ms(job) <= PUBLISH_LIMIT_MS);
    member.leave().await;
    assert!(scene.timer_in_ms(job) > REVISIT_MS - 1_000);
}

#[tokio::test(start_paused = true)]
async fn a_timer_is_never_parked_beyond_the_deadline() {
    let scene = Scene::new();
    let job = new_job_id("s");
    let deadline = scene.now().plus_ms(20_000);
    let change = scene.admission_with("s", job, "hello", |admit| admit.deadline = deadline);
    scene.apply(change).await.unwrap();
    pass_ms(PARK_MS).await;
    assert_eq!(scene.timer(job), deadline);
}

#[tokio::test(start_paused = true)]
async fn timers_are_parked_for_the_shortest_time_while_the_drain_rate_is_unknown() {
    let scene = Scene::new();
    let job = scene.admit_without_wake("s").await;
    let gauge = std::sync::Arc::new(Gauge::default());
    let (wakes, publisher) = Wakes::new(scene.queue.clone(), scene.store.clone(), gauge.clone());
    let _ = tokio::time::timeout(Duration::from_millis(10), gauge.run(&*scene.inner_store)).await;
    tokio::spawn(publisher.run());
    // No job has ended yet, so the expected wait is unknown.
    let deadline = scene.entry("s", job).deadline;
    wakes.request(WakeRequest {
        wake: wake(&scene, "s", job),
        timer: scene.timer(job),
        deadline,
        is_refill: false,
    });
    pass_ms(PARK_MS).await;
    assert_eq!(scene.timer_in_ms(job), REVISIT_MS - PARK_MS);
}

#[tokio::test(start_paused = true)]
async fn many_ready_heads_are_parked_so_that_a_thousand_of_their_timers_are_due_in_a_second() {
    let scene = Scene::new();
    let job = scene.admit_without_wake("s").await;
    for (live, _) in scene.inner_store.state().counts.values_mut() {
        live.ready = 90_000;
    }
    let gauge = std::sync::Arc::new(Gauge::default());
    let (wakes, publisher) = Wakes::new(scene.queue.clone(), scene.store.clone(), gauge.clone());
    let _ = tokio::time::timeout(Duration::from_millis(10), gauge.run(&*scene.inner_store)).await;
    tokio::spawn(publisher.run());
    wakes.request(WakeRequest {
        wake: wake(&scene, "s", job),
        timer: scene.timer(job),
        deadline: scene.now().plus_ms(1_000_000),
        is_refill: false,
    });
    pass_ms(PARK_MS).await;
    assert_eq!(scene.timer_in_ms(job), 90_000 - PARK_MS);
}

#[tokio::test(start_paused = true)]
async fn a_timer_that_moved_after_the_request_is_not_parked() {
    let scene = Scene::new();
    let job = scene.admit_without_wake("s").await;
    request_wake(&scene, "s", job);
    scene.claim("s", job).await;
    let at = scene.timer(job);
    let_tasks_run().await;
    assert_eq!(scene.queue.woken(), [job]);
    assert_eq!(scene.timer(job), at);
}

#[tokio::test(start_paused = true)]
async fn a_wake_that_is_not_confirmed_does_not_move_the_timer() {
    for mode in [QueueMode::Down, QueueMode::Blocked, QueueMode::Full] {
        let scene = Scene::new();
        scene.queue.set_mode(mode);
        let job = scene.admit("s", "hello").await;
        let at = scene.timer(job);
        pass_ms(30_000).await;
        assert_eq!(scene.timer(job), at, "mode {mode:?}");
        assert!(scene.queue.woken().is_empty());
        // The wake is published again until it is confirmed. Only then is the timer parked.
        scene.queue.set_mode(QueueMode::Up);
        pass_ms(6_100).await;
        assert_eq!(scene.queue.woken(), [job], "mode {mode:?}");
        assert!(scene.timer(job) > at);
    }
}

#[tokio::test(start_paused = true)]
async fn a_blocked_publish_delays_the_others_for_five_seconds_at_most() {
    let scene = Scene::new();
    scene.queue.set_mode(QueueMode::Blocked);
    let job_a = scene.admit("a", "hello").await;
    let_tasks_run().await;
    scene.queue.set_mode(QueueMode::Up);
    let job_b = scene.admit("b", "hello").await;
    pass_ms(5_000).await;
    assert_eq!(scene.queue.woken(), [job_b]);
    assert_eq!(scene.timer_in_ms(job_a), 0);
    assert!(scene.timer_in_ms(job_b) > REVISIT_MS - 1_000);
}

#[tokio::test(start_paused = true)]
async fn the_time_without_a_confirmed_publish_is_reported() {
    let scene = Scene::new();
    scene.admit("a", "hello").await;
    let_tasks_run().await;
    assert!(scene.wakes.unconfirmed_for().is_zero());

    scene.queue.set_mode(QueueMode::Down);
    scene.admit("b", "hello").await;
    let_tasks_run().await;
    let before = scene.wakes.unconfirmed_for();
    // The loop continues to publish, so it detects the recovery of the queue within a second.
    pass_ms(20_000).await;
    assert_eq!(
        scene.wakes.unconfirmed_for() - before,
        Duration::from_secs(20)
    );
    scene.queue.set_mode(QueueMode::Up);
    pass_ms(1_000).await;
    assert!(scene.wakes.unconfirmed_for().is_zero());
}

#[tokio::test(start_paused = true)]
async fn a_publish_without_a_response_counts_as_unconfirmed_after_five_seconds() {
    let scene = Scene::new();
    scene.queue.set_mode(QueueMode::Blocked);
    scene.admit("s", "hello").await;
    pass_ms(4_900).await;
    assert!(scene.wakes.unconfirmed_for().is_zero());
    pass_ms(1_000).await;
    assert!(!scene.wakes.unconfirmed_for().is_zero());
    // The wake is published again after 1 s, and fails 5 s later. This failure continues the same series.
    pass_ms(20_000).await;
    assert!(scene.wakes.unconfirmed_for() > Duration::from_secs(20));
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_is_healthy() {
    let scene = Scene::new();
    scene.queue.set_mode(QueueMode::Full);
    scene.admit("s", "hello").await;
    pass_ms(5_000).await;
    assert!(scene.queue.publishes() > 1);
    assert!(scene.wakes.unconfirmed_for().is_zero());
}

#[tokio::test(start_paused = true)]
async fn an_old_failure_no_longer_counts() {
    let scene = Scene::new();
    scene.queue.set_mode(QueueMode::Down);
    scene.admit("s", "hello").await;
    let_tasks_run().await;
    // From now on publishes are rejected because the queue is full. This does not count as a failure.
    scene.queue.set_mode(QueueMode::Full);
    pass_ms(9_900).await;
    assert!(!scene.wakes.unconfirmed_for().is_zero());
    pass_ms(200).await;
    assert!(scene.wakes.unconfirmed_for().is_zero());
    // A later failure begins a new series.
    scene.queue.set_mode(QueueMode::Down);
    pass_ms(2_000).await;
    let unconfirmed_for = scene.wakes.unconfirmed_for();
    assert!(
        unconfirmed_for > Duration::ZERO && unconfirmed_for <= Duration::from_secs(2),
        "unconfirmed for {unconfirmed_for:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_beyond_the_buffer_is_dropped_and_counts_as_unconfirmed() {
    let scene = Scene::new();
    let queue = std::sync::Arc::new(FakeQueue::default());
    let (wakes, publisher) = Wakes::new(queue.clone(), scene.store.clone(), Default::default());
    let job = scene.admit_without_wake("s").await;
    let (at, deadline) = (scene.timer(job), scene.entry("s", job).deadline);
    let request = || WakeRequest {
        wake: wake(&scene, "s", job),
        timer: at,
        deadline,
        is_refill: false,
    };
    assert!(wakes.want_lane_copies());
    for _ in 0..WAITING_WITH_COPY_MAX {
        wakes.request(request());
    }
    assert!(!wakes.want_lane_copies());
    for _ in WAITING_WITH_COPY_MAX..WAITING_MAX {
        wakes.request(request());
    }
    let_tasks_run().await;
    assert!(wakes.unconfirmed_for().is_zero());
    wakes.request(request());
    let_tasks_run().await;
    assert!(!wakes.unconfirmed_for().is_zero());

    // Once the wakes are published, the queue counts as healthy again. The loop ends with its last handle.
    drop(wakes);
    publisher.run().await;
    assert_eq!(queue.publishes(), WAITING_MAX);
}

#[tokio::test(start_paused = true)]
async fn timers_that_could_not_be_parked_fire_early_and_the_loop_continues() {
    let scene = Scene::new();
    scene.store.plan(StoreCall::MoveTimers, [Fault::Broken]);
    let job_a = scene.admit("a", "hello").await;
    pass_ms(PARK_MS).await;
    assert_eq!(scene.timer_in_ms(job_a), PUBLISH_LIMIT_MS - PARK_MS);
    let job_b = scene.admit("b", "hello").await;
    pass_ms(PARK_MS).await;
    assert_eq!(scene.timer_in_ms(job_b), REVISIT_MS - PARK_MS);
}

#[tokio::test(start_paused = true)]
async fn publishing_does_not_wait_for_the_store() {
    let scene = Scene::new();
    let (job_a, job_b) = (
        scene.admit_without_wake("a").await,
        scene.admit_without_wake("b").await,
    );
    scene.store.set_mode(StoreMode::Hanging);
    request_wake(&scene, "a", job_a);
    pass_ms(PARK_MS).await;
    request_wake(&scene, "b", job_b);
    let_tasks_run().await;
    assert_eq!(scene.queue.woken(), [job_a, job_b]);
    assert_eq!(scene.timer_in_ms(job_a), PUBLISH_LIMIT_MS - PARK_MS - 1);
    scene.store.set_mode(StoreMode::Up);
    pass_ms(PARK_MS).await;
    assert!(scene.timer_in_ms(job_a).min(scene.timer_in_ms(job_b)) > REVISIT_MS - 3_000);
}

#[tokio::test(start_paused = true)]
async fn the_loop_ends_with_its_last_handle_and_parks_the_published_timers() {
    let scene = Scene::new();
    let job = scene.admit("s", "hello").await;
    let Scene {
        lanes,
        wakes,
        wakes_loop,
        queue,
        inner_store,
        ..
    } = scene;
    drop::<(Lanes, Wakes)>((lanes, wakes));
    wakes_loop.await.unwrap();
    assert_eq!(queue.woken(), [job]);
    let parked = inner_store.state().timers[&job].1;
    assert_eq!(
        parked,
        inner_store.state().commits[0].at.plus_ms(REVISIT_MS)
    );
}

#[tokio::test(start_paused = true)]
async fn a_tick_of_a_head_requests_its_wake_only_if_it_moved_the_timer() {
    let scene = Scene::new();
    let job = scene.admit_without_wake("s").await;
    let stale = Timer {
        job,
        lane: lane("s"),
        at: scene.timer(job).plus_ms(1),
    };
    scene
        .apply(LaneChange::tick(stale.clone(), None))
        .await
        .unwrap();
    let_tasks_run().await;
    assert!(scene.queue.woken().is_empty());
    let at = scene.timer(job);
    let timer = Timer { at, ..stale };
    scene.apply(LaneChange::tick(timer, None)).await.unwrap();
    let_tasks_run().await;
    assert_eq!(scene.queue.woken(), [job]);
}
