//! Wakes that the queue has lost are published again.

use forebay_shared::{class::Class, lane::REVISIT_MS};

use crate::{
    queue::QueueMode,
    scene::{Scene, TIMEOUT, let_tasks_run, new_job_id, pass_ms},
};

#[tokio::test(start_paused = true)]
async fn all_ready_heads_are_woken_when_their_queue_is_found_empty_twice() {
    let scene = Scene::new();
    let _member = scene.join("me");
    let mut ready = Vec::new();
    for session in ["a", "b", "c"] {
        ready.push(scene.admit(session, "hello").await);
        scene.admit(session, "behind it").await;
    }
    let running = scene.admit("d", "hello").await;
    scene.claim("d", running).await;
    pass_ms(6_000).await;
    // The timers are parked. None is due for about a minute.
    assert_eq!(scene.queue.purge().len(), 4);
    pass_ms(10_500).await;
    let mut woken = scene.queue.woken();
    woken.sort_unstable();
    ready.sort_unstable();
    assert_eq!(woken, ready);
    for job in ready {
        assert!(scene.timer_in_ms(job) > REVISIT_MS - 11_000);
    }
}

#[tokio::test(start_paused = true)]
async fn only_the_class_whose_queue_is_empty_is_woken() {
    let scene = Scene::new();
    let _member = scene.join("me");
    let batch = new_job_id("batch");
    let change = scene.admission_with("batch", batch, "hi", |admit| admit.class = Class::Batch);
    scene.apply(change).await.unwrap();
    pass_ms(1_000).await;
    assert_eq!(scene.queue.purge(), [batch]);
    let interactive = scene.admit("s", "hello").await;
    pass_ms(20_000).await;
    let woken = scene.queue.woken();
    assert_eq!(woken, [interactive, batch]);
}

#[tokio::test(start_paused = true)]
async fn no_head_is_woken_when_its_queue_is_found_empty_once() {
    let scene = Scene::new();
    let _member = scene.join("me");
    scene.admit("s", "hello").await;
    pass_ms(3_000).await;
    for _ in 0..10 {
        // The queue is empty at one read of its depth, but not at the next read.
        scene.queue.purge();
        pass_ms(5_000).await;
        assert!(scene.queue.woken().is_empty());
        scene.admit("t", "hello").await;
        let job = scene.jobs_in_order("t")[0];
        pass_ms(5_000).await;
        assert_eq!(scene.queue.woken(), [job]);
        scene
            .apply(forebay_runtime::lanes::LaneChange::cancel(
                crate::scene::lane("t"),
                job,
            ))
            .await
            .unwrap();
        // Once its timer is due, the head gets a wake anyway.
        if scene.timer_in_ms(scene.jobs_in_order("s")[0]) < 15_000 {
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn all_ready_heads_are_woken_at_a_start_if_the_queue_has_lost_its_messages() {
    for is_volatile in [true, false] {
        let scene = Scene::new();
        // The wakes of an earlier process were confirmed, so the timers are parked.
        let mut jobs = Vec::new();
        for index in 0..1_100 {
            let (session, job) = (format!("s-{index}"), new_job_id(&format!("s-{index}")));
            let change = scene.admission_with(&session, job, "hello", |admit| {
                admit.class = Class::ALL[index % 2];
            });
            scene.lanes.apply(change, TIMEOUT).await.unwrap();
            jobs.push(job);
        }
        let_tasks_run().await;
        assert_eq!(scene.queue.purge().len(), jobs.len());
        if is_volatile {
            scene.make_queue_volatile();
        }
        let _member = scene.join("me");
        pass_ms(2_000).await;
        let mut woken = scene.queue.woken();
        woken.sort_unstable();
        jobs.sort_unstable();
        assert_eq!(woken, if is_volatile { jobs } else { Vec::new() });
    }
}

#[tokio::test(start_paused = true)]
async fn a_ready_head_is_woken_only_once_after_a_start() {
    let scene = Scene::new();
    scene.make_queue_volatile();
    let job = scene.admit_without_wake("s").await;
    let _member = scene.join("me");
    pass_ms(50_000).await;
    assert_eq!(scene.queue.woken(), [job]);
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_rejects_publishes_does_not_count_as_empty() {
    let scene = Scene::new();
    let _member = scene.join("me");
    scene.queue.set_mode(QueueMode::Full);
    let job = scene.admit("s", "hello").await;
    pass_ms(30_000).await;
    scene.queue.set_mode(QueueMode::Up);
    pass_ms(2_000).await;
    assert!(scene.queue.woken().contains(&job));
}
