//! Only the jobs of workers that are gone are taken over.

use faulty_store::{Fault, StoreCall, StoreMode};
use forebay_runtime::lanes::LaneChange;
use forebay_shared::{ids::ProcessId, lane::State};
use tokio::time::Instant;

use crate::scene::{Scene, claim, lane, pass_ms, process};

fn worker_of(scene: &Scene, session: &str, job: forebay_shared::ids::JobId) -> Option<ProcessId> {
    match scene.entry(session, job).state {
        State::Running { worker, .. } => Some(worker),
        State::Queued { .. } | State::Deferred(_) => None,
    }
}

/// Lets time pass while a worker renews its presence.
async fn pass_while_present(scene: &Scene, name: &str, seconds: u64) {
    for _ in 0..seconds {
        scene.renew_presence_of(name).await;
        pass_ms(1_000).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_job_of_a_worker_that_is_gone_is_taken_over_in_about_four_seconds() {
    let scene = Scene::new();
    let member = scene.join("me");
    pass_while_present(&scene, "worker", 6).await;
    let job = scene.admit("s", "hello").await;
    claim(&scene.lanes, "s", job, "worker").await.unwrap();
    let mine = scene.admit("mine", "hello").await;
    scene.claim("mine", mine).await;
    pass_while_present(&scene, "worker", 20).await;
    assert_eq!(worker_of(&scene, "s", job), Some(process("worker")));
    scene.queue.purge();

    scene.renew_presence_of("worker").await;
    let died = Instant::now();
    while worker_of(&scene, "s", job).is_some() {
        pass_ms(10).await;
    }
    let takeover_ms = died.elapsed().as_millis();
    assert!(
        (3_000..=4_300).contains(&takeover_ms),
        "taken over after {takeover_ms} ms"
    );
    pass_ms(10).await;
    assert_eq!(scene.queue.woken(), [job]);
    assert_eq!(scene.entry("s", job).takeovers, 1);
    assert_eq!(worker_of(&scene, "mine", mine), Some(process("me")));
    assert_eq!(member.metrics.lanes.takeovers.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_newly_elected_sweeper_takes_over_the_jobs_of_workers_that_are_gone() {
    let scene = Scene::new();
    let job = scene.admit("s", "hello").await;
    claim(&scene.lanes, "s", job, "worker").await.unwrap();
    pass_ms(1_000).await;
    let _member = scene.join("me");
    pass_ms(2_900).await;
    assert_eq!(
        worker_of(&scene, "s", job),
        Some(process("worker")),
        "the sweeper does not know yet which processes are alive"
    );
    pass_ms(600).await;
    assert_eq!(worker_of(&scene, "s", job), None);
}

#[tokio::test(start_paused = true)]
async fn an_outage_in_which_every_presence_expires_causes_no_takeover() {
    let scene = Scene::new();
    let _members = [scene.join("me"), scene.join("other")];
    pass_ms(5_000).await;
    let mut jobs = Vec::new();
    for (session, worker) in [("a", "me"), ("b", "other"), ("c", "gone")] {
        scene.renew_presence_of("gone").await;
        let job = scene.admit(session, "hello").await;
        claim(&scene.lanes, session, job, worker).await.unwrap();
        jobs.push((session, job, worker));
    }
    for mode in [StoreMode::Down, StoreMode::Hanging] {
        scene.store.set_mode(mode);
        pass_ms(15_000).await;
        scene.store.set_mode(StoreMode::Up);
        let recovered_at = Instant::now();
        while recovered_at.elapsed().as_millis() < 2_900 && mode == StoreMode::Down {
            pass_ms(50).await;
            for (session, job, worker) in &jobs {
                assert_eq!(worker_of(&scene, session, *job), Some(process(worker)));
            }
        }
        pass_ms(10_000).await;
        for (session, job, worker) in &jobs[..2] {
            assert_eq!(worker_of(&scene, session, *job), Some(process(worker)));
            assert_eq!(scene.entry(session, *job).takeovers, 0);
        }
    }
    // The worker that did not renew its presence is gone.
    let (session, job, _) = jobs[2];
    assert_eq!(worker_of(&scene, session, job), None);
}

#[tokio::test(start_paused = true)]
async fn a_takeover_that_failed_is_repeated() {
    let scene = Scene::new();
    let _member = scene.join("me");
    pass_while_present(&scene, "worker", 6).await;
    let mut jobs = Vec::new();
    for session in ["a", "b"] {
        let job = scene.admit(session, "hello").await;
        claim(&scene.lanes, session, job, "worker").await.unwrap();
        jobs.push((session, job));
    }
    scene.renew_presence_of("worker").await;
    // The next read of heads and the next commit fail. Both belong to the takeover.
    scene.store.plan(StoreCall::Commit, [Fault::Broken]);
    scene.store.plan(StoreCall::Heads, [Fault::Broken]);
    pass_ms(5_000).await;
    for (session, job) in jobs {
        assert_eq!(worker_of(&scene, session, job), None, "session {session}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_counted_as_gone_may_complete_its_job_until_the_next_claim() {
    let scene = Scene::new();
    let _member = scene.join("me");
    pass_while_present(&scene, "worker", 6).await;
    let job = scene.admit("s", "hello").await;
    let fence = claim(&scene.lanes, "s", job, "worker").await.unwrap();
    pass_ms(5_000).await;
    assert_eq!(worker_of(&scene, "s", job), None);
    // The lane that `scene.lanes` has cached is outdated by now.
    let finish = crate::scene::finish("s", job, fence, "reply");
    scene.apply(finish).await.unwrap();
    assert_eq!(scene.turns("s"), ["reply"]);
    assert!(
        scene
            .apply(LaneChange::cancel(lane("s"), job))
            .await
            .is_err()
    );
}
