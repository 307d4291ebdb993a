//! The jobs of a worker that is gone are taken over, and of nobody else.

use forebay_runtime::lanes::LaneChange;
use forebay_shared::{ids::ProcessId, lane::State};
use tokio::time::Instant;

use crate::{
    fickle::{Fault, Mode, Op},
    scene::{Scene, claim, lane, pass_ms, process},
};

fn worker_of(scene: &Scene, session: &str, job: forebay_shared::ids::JobId) -> Option<ProcessId> {
    match scene.entry(session, job).state {
        State::Running { worker, .. } => Some(worker),
        State::Queued { .. } => None,
    }
}

/// Keeps a worker announced while this time passes.
async fn pass_alive(scene: &Scene, name: &str, seconds: u64) {
    for _ in 0..seconds {
        scene.announce(name).await;
        pass_ms(1_000).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_job_of_a_worker_that_is_gone_is_taken_over_in_about_four_seconds() {
    let scene = Scene::new();
    let _member = scene.join("me");
    pass_alive(&scene, "worker", 6).await;
    let job = scene.admit("s", "hello").await;
    claim(&scene.lanes, "s", job, "worker").await.unwrap();
    let mine = scene.admit("mine", "hello").await;
    scene.claim("mine", mine).await;
    pass_alive(&scene, "worker", 20).await;
    assert_eq!(worker_of(&scene, "s", job), Some(process("worker")));
    scene.queue.purge();

    scene.announce("worker").await;
    let died = Instant::now();
    while worker_of(&scene, "s", job).is_some() {
        pass_ms(10).await;
    }
    let took = died.elapsed().as_millis();
    assert!((3_000..=4_300).contains(&took), "{took} ms");
    pass_ms(10).await;
    assert_eq!(scene.queue.woken(), [job]);
    assert_eq!(scene.entry("s", job).takeovers, 1);
    assert_eq!(worker_of(&scene, "mine", mine), Some(process("me")));
}

#[tokio::test(start_paused = true)]
async fn a_newly_elected_sweeper_passes_over_what_was_left_behind() {
    let scene = Scene::new();
    let job = scene.admit("s", "hello").await;
    claim(&scene.lanes, "s", job, "worker").await.unwrap();
    pass_ms(1_000).await;
    let _member = scene.join("me");
    pass_ms(2_900).await;
    assert_eq!(
        worker_of(&scene, "s", job),
        Some(process("worker")),
        "not yet"
    );
    pass_ms(600).await;
    assert_eq!(worker_of(&scene, "s", job), None);
}

#[tokio::test(start_paused = true)]
async fn an_outage_in_which_all_presences_lapse_takes_over_nothing() {
    let scene = Scene::new();
    let _members = [scene.join("me"), scene.join("other")];
    pass_ms(5_000).await;
    let mut jobs = Vec::new();
    for (session, worker) in [("a", "me"), ("b", "other"), ("c", "gone")] {
        scene.announce("gone").await;
        let job = scene.admit(session, "hello").await;
        claim(&scene.lanes, session, job, worker).await.unwrap();
        jobs.push((session, job, worker));
    }
    for mode in [Mode::Away, Mode::Hanging] {
        scene.store.set(mode);
        pass_ms(15_000).await;
        scene.store.set(Mode::Fine);
        let back = Instant::now();
        while back.elapsed().as_millis() < 2_900 && mode == Mode::Away {
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
    // Whoever did not come back is gone all the same.
    let (session, job, _) = jobs[2];
    assert_eq!(worker_of(&scene, session, job), None);
}

#[tokio::test(start_paused = true)]
async fn a_pass_that_did_not_succeed_is_made_again() {
    let scene = Scene::new();
    let _member = scene.join("me");
    pass_alive(&scene, "worker", 6).await;
    let mut jobs = Vec::new();
    for session in ["a", "b"] {
        let job = scene.admit(session, "hello").await;
        claim(&scene.lanes, session, job, "worker").await.unwrap();
        jobs.push((session, job));
    }
    scene.announce("worker").await;
    // The first take-over fails; nothing else is committed meanwhile.
    scene.store.script(Op::Commit, [Fault::Broken]);
    scene.store.script(Op::Heads, [Fault::Broken]);
    pass_ms(5_000).await;
    for (session, job) in jobs {
        assert_eq!(worker_of(&scene, session, job), None, "session {session}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_reply_of_a_worker_that_was_taken_for_dead_still_counts_until_the_next_claim() {
    let scene = Scene::new();
    let _member = scene.join("me");
    pass_alive(&scene, "worker", 6).await;
    let job = scene.admit("s", "hello").await;
    let fence = claim(&scene.lanes, "s", job, "worker").await.unwrap();
    pass_ms(5_000).await;
    assert_eq!(worker_of(&scene, "s", job), None);
    // From the lanes of this very process, whose memory of the lane is out of date by then.
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
