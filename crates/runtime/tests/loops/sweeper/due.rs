//! The sweeper acts on due timers: it wakes heads, also for their next try, and lets jobs expire. It also deletes expired
//! records.

use faulty_store::{Fault, StoreCall, StoreMode};
use forebay_runtime::lanes::LaneChange;
use forebay_shared::{
    account::AccountKey,
    job::Status,
    lane::{REVISIT_MS, State},
    store::Store as _,
    time::TimeMs,
};

use super::resume::provider_wait;
use crate::{
    queue::QueueMode,
    scene::{PARK_MS, Scene, TIMEOUT, lane, let_tasks_run, new_job_id, pass_ms, retry},
};

#[tokio::test(start_paused = true)]
async fn a_head_whose_wake_was_never_sent_is_woken_and_its_timer_is_parked() {
    let scene = Scene::new();
    let _member = scene.join("me");
    let job = scene.admit_without_wake("s").await;
    pass_ms(2_900).await;
    assert!(scene.queue.woken().is_empty());
    pass_ms(400).await;
    assert_eq!(scene.queue.woken(), [job]);
    pass_ms(PARK_MS).await;
    assert!(scene.timer_in_ms(job) > REVISIT_MS - 2_000);
}

#[tokio::test(start_paused = true)]
async fn a_parked_timer_fires_again_if_the_queue_may_have_lost_the_wake() {
    let scene = Scene::new();
    let _member = scene.join("me");
    let (job_a, job_b) = (
        scene.admit("a", "hello").await,
        scene.admit("b", "hello").await,
    );
    pass_ms(1_000).await;
    scene.queue.lose(job_b);
    // No publish has failed, and the queue is not empty, so only the timer leads to another wake. It is parked for three
    // times the expected wait, and for at least 60 s.
    pass_ms(55_000).await;
    assert_eq!(scene.queue.woken(), [job_a]);
    pass_ms(40_000).await;
    assert!(scene.queue.woken().contains(&job_b));
}

#[tokio::test(start_paused = true)]
async fn a_wake_that_is_still_in_the_queue_is_not_published_again() {
    let scene = Scene::new();
    let _member = scene.join("me");
    let (job_a, job_b) = (
        scene.admit("a", "hello").await,
        scene.admit("b", "hello").await,
    );
    pass_ms(620_000).await;
    assert_eq!(scene.queue.woken(), [job_a, job_b]);
    assert!(scene.timer_in_ms(job_a) > 0);
}

#[tokio::test(start_paused = true)]
async fn a_retry_is_woken_when_it_is_due() {
    let scene = Scene::new();
    let _member = scene.join("me");
    let job = scene.admit("s", "hello").await;
    let fence = scene.claim("s", job).await;
    scene.renew_presence_of("me").await;
    let not_before = scene.now().plus_ms(7_000);
    scene
        .apply(retry("s", job, fence, not_before))
        .await
        .unwrap();
    let_tasks_run().await;
    scene.queue.purge();
    pass_ms(6_900).await;
    assert!(scene.queue.woken().is_empty());
    pass_ms(400).await;
    assert_eq!(scene.queue.woken(), [job]);
    assert_eq!(
        scene.entry("s", job).state,
        State::Queued { not_before: None }
    );
    assert_eq!(scene.claim("s", job).await, 2);
}

#[tokio::test(start_paused = true)]
async fn expiry_never_waits_for_a_publish() {
    for mode in [QueueMode::Down, QueueMode::Blocked, QueueMode::Full] {
        let scene = Scene::new();
        let _member = scene.join("me");
        scene.queue.set_mode(mode);
        pass_ms(500).await;
        let admit = |after_ms: u64| {
            let (job, deadline) = (new_job_id("s"), scene.now().plus_ms(after_ms));
            let change = scene.admission_with("s", job, "hi", |admit| admit.deadline = deadline);
            (job, change)
        };
        // The head, and two jobs behind it.
        let (head, change) = admit(10_000);
        scene.apply(change).await.unwrap();
        let (sooner, change) = admit(4_000);
        scene.apply(change).await.unwrap();
        let (later, change) = admit(30_000);
        scene.apply(change).await.unwrap();
        pass_ms(3_900).await;
        assert_eq!(scene.jobs_in_order("s"), [head, sooner, later]);
        // The sweeper may end its term, because its publishes fail, and then take part in no election for 4 s.
        pass_ms(4_500).await;
        assert_eq!(scene.jobs_in_order("s"), [head, later], "mode {mode:?}");
        assert_eq!(scene.ended_as(sooner), Some(Status::Expired));
        pass_ms(6_000).await;
        assert_eq!(scene.ended_as(head), Some(Status::Expired), "mode {mode:?}");
        pass_ms(20_000).await;
        assert_eq!(
            scene.ended_as(later),
            Some(Status::Expired),
            "mode {mode:?}"
        );
        assert!(scene.inner_store.state().lanes.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn jobs_behind_a_deferred_head_expire_with_the_error_of_its_provider() {
    let scene = Scene::new();
    let key = AccountKey::of_provider("acme");
    scene.close_account(&key, 3_600_000).await;
    let deadline = scene.now().plus_ms(5_000);
    let mut jobs = Vec::new();
    for _ in 0..3 {
        let job = new_job_id("s");
        let change = scene.admission_with("s", job, "hi", |admit| admit.deadline = deadline);
        scene.apply(change).await.unwrap();
        jobs.push(job);
    }
    let defer = LaneChange::defer(lane("s"), jobs[0], provider_wait(&key));
    scene.apply(defer).await.unwrap();
    let _member = scene.join("me");
    pass_ms(6_000).await;
    let state = scene.inner_store.state();
    for job in jobs {
        let outcome = state.jobs[&job].1.as_ref().expect("the job has ended");
        assert_eq!(outcome.status, Status::Expired);
        let message = &outcome.error.as_ref().expect("an error").message;
        assert!(
            message.ends_with("acme: the test defers the job"),
            "{message}"
        );
    }
    assert!(state.lanes.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_running_job_is_checked_but_not_woken_until_its_claim_ends() {
    let scene = Scene::new();
    let member = scene.join("me");
    let job = scene.admit("s", "hello").await;
    scene.claim("s", job).await;
    let_tasks_run().await;
    scene.queue.purge();
    pass_ms(590_000).await;
    assert!(scene.queue.woken().is_empty());
    assert_eq!(scene.entry("s", job).takeovers, 0);
    assert!(scene.timer_in_ms(job) <= 10_000);
    // Its worker is alive, but has not settled the job in time.
    pass_ms(11_000).await;
    assert_eq!(scene.entry("s", job).takeovers, 1);
    assert_eq!(scene.queue.woken(), [job]);
    assert_eq!(member.metrics.lanes.takeovers.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_running_job_that_expires_is_not_taken_over() {
    let scene = Scene::new();
    let member = scene.join("me");
    let job = new_job_id("s");
    let deadline = scene.now().plus_ms(5_000);
    let change = scene.admission_with("s", job, "hello", |admit| admit.deadline = deadline);
    scene.apply(change).await.unwrap();
    scene.claim("s", job).await;
    pass_ms(7_000).await;
    assert_eq!(scene.ended_as(job), Some(Status::Expired));
    assert_eq!(member.metrics.lanes.takeovers.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn timers_without_jobs_are_removed_and_do_not_block_other_due_timers() {
    let scene = Scene::new();
    let job = scene.admit_without_wake("s").await;
    // There are more timers without jobs than one sweep reads, and all are due before the timer of the job.
    for index in 0..6_000 {
        let stray = (lane(&format!("stray-{index}")), TimeMs(1));
        scene
            .inner_store
            .state()
            .timers
            .insert(new_job_id("stray"), stray);
    }
    pass_ms(3_100).await;
    let _member = scene.join("me");
    pass_ms(1_000).await;
    assert_eq!(scene.queue.woken(), [job]);
    let now = scene.now();
    assert!(
        scene
            .inner_store
            .due_timers(now, 1_000)
            .await
            .unwrap()
            .is_empty()
    );
    let left: Vec<_> = scene.inner_store.state().timers.keys().copied().collect();
    assert_eq!(left, [job]);
}

#[tokio::test(start_paused = true)]
async fn timers_whose_lanes_cannot_be_read_do_not_hide_later_ones() {
    let scene = Scene::new();
    let job = scene.admit_without_wake("s").await;
    // The first pages of due timers belong to lanes that no process can read.
    let mut unreadable = Vec::new();
    for index in 0..6_000 {
        let (lane, job) = (lane(&format!("unreadable-{index}")), new_job_id("s"));
        let mut state = scene.inner_store.state();
        state.timers.insert(job, (lane.clone(), TimeMs(1)));
        state.unreadable_lanes.insert(lane);
        unreadable.push(job);
    }
    pass_ms(3_100).await;
    let _member = scene.join("me");
    pass_ms(1_000).await;
    assert_eq!(scene.queue.woken(), [job]);
    let state = scene.inner_store.state();
    let are_kept = unreadable.iter().all(|job| state.timers.contains_key(job));
    assert!(are_kept, "a timer was removed although its job may be live");
}

#[tokio::test(start_paused = true)]
async fn a_failed_sweep_is_repeated_by_the_next_sweep() {
    let scene = Scene::new();
    let _member = scene.join("me");
    let job = scene.admit_without_wake("s").await;
    pass_ms(2_900).await;
    scene.store.plan(StoreCall::DueTimers, [Fault::Broken]);
    scene.store.plan(StoreCall::MoveTimers, [Fault::Broken]);
    pass_ms(1_000).await;
    assert_eq!(scene.queue.woken(), [job]);
}

#[tokio::test(start_paused = true)]
async fn the_sweeper_continues_after_an_outage_of_the_store() {
    let scene = Scene::new();
    let _member = scene.join("me");
    let job = scene.admit_without_wake("s").await;
    pass_ms(1_000).await;
    for mode in [StoreMode::Down, StoreMode::Hanging] {
        scene.store.set_mode(mode);
        pass_ms(20_000).await;
        scene.store.set_mode(StoreMode::Up);
        pass_ms(1_000).await;
    }
    assert_eq!(scene.queue.woken(), [job]);
    let cancel = LaneChange::cancel(lane("s"), job);
    scene.apply(cancel).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn expired_records_are_deleted_page_by_page_and_sessions_are_evicted_only_with_a_limit() {
    let scene = Scene::new();
    scene
        .inner_store
        .expired_records_left
        .store(1_200, std::sync::atomic::Ordering::SeqCst);
    let member = scene.join("me");
    pass_ms(300).await;
    assert_eq!(
        scene
            .inner_store
            .expired_records_left
            .load(std::sync::atomic::Ordering::SeqCst),
        0
    );
    assert_eq!(scene.store.call_count(StoreCall::EvictSessions), 0);
    let calls = scene.store.call_count(StoreCall::DeleteExpired);
    pass_ms(10_000).await;
    let calls = scene.store.call_count(StoreCall::DeleteExpired) - calls;
    assert!((7..=10).contains(&calls), "{calls} calls in 10 s");
    member.leave().await;

    scene
        .inner_store
        .sessions_beyond_limit_left
        .store(2_000, std::sync::atomic::Ordering::SeqCst);
    let _member = scene.join_with("capped", Some(10));
    pass_ms(300).await;
    assert_eq!(
        scene
            .inner_store
            .sessions_beyond_limit_left
            .load(std::sync::atomic::Ordering::SeqCst),
        0
    );
}

#[tokio::test(start_paused = true)]
async fn a_new_head_whose_wake_was_never_sent_is_woken_although_it_was_admitted_long_ago() {
    let scene = Scene::new();
    let _member = scene.join("me");
    let job_a = scene.admit("s", "one").await;
    let fence = scene.claim("s", job_a).await;
    let job_b = scene.admit("s", "two").await;
    pass_ms(1_000).await;
    scene.queue.purge();
    pass_ms(69_200).await;
    let job_c = scene.admit("c", "hello").await;
    scene.admit("d", "hello").await;
    scene.admit("e", "hello").await;
    // Meanwhile the sweeper compares the depth with the counts: three wakes, three ready heads.
    pass_ms(5_500).await;
    // One wake is consumed. A worker dies between its commit and the wake of the next head.
    scene.queue.lose(job_c);
    scene.claim("c", job_c).await;
    let done = crate::scene::finish("s", job_a, fence, "reply");
    scene.other_process().apply(done, TIMEOUT).await.unwrap();
    assert_eq!(scene.jobs_in_order("s"), [job_b]);
    pass_ms(4_000).await;
    assert!(
        scene.queue.woken().contains(&job_b),
        "the timer is due in {} ms",
        scene.timer_in_ms(job_b)
    );
}
