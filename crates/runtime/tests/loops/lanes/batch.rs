//! The changes that wait for one lane are batched into one commit, in their order.

use faulty_store::{Fault, StoreCall};
use forebay_runtime::lanes::{Applied, LaneChange, LaneError};
use forebay_shared::{
    job::Status,
    lane::{IfBusy, Refused},
    store::{StoreError, Timer},
};
use futures_util::future::join_all;
use tokio::sync::oneshot;

use crate::scene::{
    Scene, TIMEOUT, claim_change, finish, finish_and_replace, lane, let_tasks_run, new_job_id,
    process, retry, texts,
};

#[tokio::test(start_paused = true)]
async fn changes_that_wait_together_are_made_by_one_commit_in_their_order() {
    let scene = Scene::new();
    let jobs: Vec<_> = (0..20).map(|_| new_job_id("s")).collect();
    let admissions = jobs
        .iter()
        .map(|job| scene.apply(scene.admission("s", *job, "hello")));
    for (position, applied) in join_all(admissions).await.into_iter().enumerate() {
        assert!(matches!(applied, Ok(Applied::Admitted { ahead, .. }) if ahead == position));
    }
    assert_eq!(scene.commits_made(), 1);
    assert_eq!(scene.store.call_count(StoreCall::Commit), 1);
    assert_eq!(
        scene.store.call_count(StoreCall::Load),
        0,
        "a submit is one round trip"
    );
    assert_eq!(scene.jobs_in_order("s"), jobs);
    let_tasks_run().await;
    assert_eq!(scene.queue.woken(), [jobs[0]], "only the head is woken");
}

#[tokio::test(start_paused = true)]
async fn changes_that_arrive_during_a_commit_are_batched_into_the_next() {
    let scene = Scene::new();
    let (enter, entered) = oneshot::channel();
    let (open, opened) = oneshot::channel();
    let gate = async move {
        enter.send(()).unwrap();
        opened.await.unwrap();
    };
    scene
        .store
        .plan(StoreCall::Commit, [Fault::After(Box::pin(gate))]);
    let jobs: Vec<_> = (0..6).map(|_| new_job_id("s")).collect();
    let first = scene.apply(scene.admission("s", jobs[0], "hello"));
    let others = async {
        entered.await.unwrap();
        let others = jobs[1..]
            .iter()
            .map(|job| scene.apply(scene.admission("s", *job, "hello")));
        let opening = async { open.send(()).unwrap() };
        futures_util::future::join(join_all(others), opening)
            .await
            .0
    };
    let (first, others) = futures_util::future::join(first, others).await;
    assert!(first.is_ok() && others.iter().all(Result::is_ok));
    assert_eq!(scene.commits_made(), 2);
    assert_eq!(scene.jobs_in_order("s"), jobs);
}

#[tokio::test(start_paused = true)]
async fn lanes_do_not_wait_for_each_other() {
    let scene = Scene::new();
    let gate = Fault::After(Box::pin(std::future::pending()));
    scene.store.plan(StoreCall::Commit, [gate]);
    let stuck = scene.lanes.clone();
    let change = scene.admission("stuck", new_job_id("stuck"), "hello");
    let stuck = tokio::spawn(async move { stuck.apply(change, TIMEOUT).await });
    let_tasks_run().await;
    let before = scene.now();
    scene.admit("free", "hello").await;
    assert_eq!(scene.now(), before);
    assert!(!stuck.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_claim_behind_a_completion_gets_the_turns_of_that_completion() {
    let scene = Scene::new();
    let (job_a, job_b) = (scene.admit("s", "one").await, scene.admit("s", "two").await);
    let fence = scene.claim("s", job_a).await;
    let (finished, claimed) = tokio::join!(
        scene.apply(finish("s", job_a, fence, "reply to one")),
        scene.apply(claim_change("s", job_b, "me")),
    );
    assert!(matches!(finished, Ok(Applied::Done)));
    let Ok(Applied::Claimed {
        run_inputs: Some(run_inputs),
        attempt,
        tries,
        ..
    }) = claimed
    else {
        panic!("not claimed: {claimed:?}");
    };
    assert_eq!(run_inputs.meta.id, job_b);
    assert_eq!(texts(&run_inputs.request.input), ["two"]);
    assert_eq!(texts(&run_inputs.conversation.turns), ["reply to one"]);
    assert_eq!((attempt, tries), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_reply_whose_turn_is_gone_does_not_stop_the_changes_beside_it() {
    let scene = Scene::new();
    let first = scene.admit("s", "one").await;
    let fence = scene.claim("s", first).await;
    scene
        .apply(finish("s", first, fence, "reply"))
        .await
        .expect("the reply is stored");
    let job = scene.admit("s", "two").await;
    let fence = scene.claim("s", job).await;
    let replacing = |from| finish_and_replace("s", job, fence, "new", Some(from));
    let other = new_job_id("s");
    let (replaced, admitted) = tokio::join!(
        scene.apply(replacing(5)),
        scene.apply(scene.admission("s", other, "three")),
    );
    assert!(
        matches!(replaced, Err(LaneError::Store(StoreError::TurnGone))),
        "{replaced:?}"
    );
    assert!(
        matches!(admitted, Ok(Applied::Admitted { ahead: 1, .. })),
        "{admitted:?}"
    );
    assert_eq!(scene.turns("s"), ["reply"]);
    let replaced = scene.apply(replacing(0)).await;
    assert!(matches!(replaced, Ok(Applied::Done)), "{replaced:?}");
    assert_eq!(scene.turns("s"), ["new"]);
}

#[tokio::test(start_paused = true)]
async fn only_one_of_two_claims_that_wait_together_is_granted() {
    let scene = Scene::new();
    let job = scene.admit("s", "hello").await;
    let (first, second) = tokio::join!(
        scene.apply(claim_change("s", job, "a")),
        scene.apply(claim_change("s", job, "b")),
    );
    assert!(matches!(first, Ok(Applied::Claimed { fence: 1, .. })));
    assert_eq!(second.unwrap_err().refused(), Some(Refused::Running));
}

#[tokio::test(start_paused = true)]
async fn each_change_of_a_batch_has_its_own_result() {
    let scene = Scene::new();
    let job_a = scene.admit("s", "hello").await;
    let (unknown, new) = (new_job_id("s"), new_job_id("s"));
    let (gone, admitted, not_head) = tokio::join!(
        scene.apply(LaneChange::cancel(lane("s"), unknown)),
        scene.apply(scene.admission("s", new, "hello")),
        scene.apply(claim_change("s", new, "me")),
    );
    assert_eq!(gone.unwrap_err().refused(), Some(Refused::Gone));
    assert!(matches!(admitted, Ok(Applied::Admitted { .. })));
    assert_eq!(not_head.unwrap_err().refused(), Some(Refused::NotHead));
    assert_eq!(scene.jobs_in_order("s"), [job_a, new]);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_claimed_and_cancelled_in_one_batch_is_not_run() {
    let scene = Scene::new();
    let job = scene.admit("s", "hello").await;
    let (claimed, cancelled) = tokio::join!(
        scene.apply(claim_change("s", job, "me")),
        scene.apply(LaneChange::cancel(lane("s"), job)),
    );
    assert!(
        matches!(claimed, Ok(Applied::NotDue)),
        "the claim returned {claimed:?}"
    );
    assert!(matches!(cancelled, Ok(Applied::Done)));
    assert_eq!(scene.ended_as(job), Some(Status::Cancelled));
}

#[tokio::test(start_paused = true)]
async fn a_cancel_notifies_the_worker_that_runs_the_job_and_wakes_the_next_job() {
    let scene = Scene::new();
    let (job_a, job_b) = (scene.admit("s", "one").await, scene.admit("s", "two").await);
    scene.claim("s", job_a).await;
    scene.queue.purge();
    scene
        .apply(LaneChange::cancel(lane("s"), job_a))
        .await
        .unwrap();
    let_tasks_run().await;
    assert_eq!(scene.ended_as(job_a), Some(Status::Cancelled));
    assert_eq!(scene.queue.woken(), [job_b]);
    let dropped = scene
        .inner_store
        .state()
        .commits
        .last()
        .unwrap()
        .dropped_calls
        .clone();
    assert_eq!(dropped, [(process("me"), job_a)]);
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_comes_too_early_restores_the_timer() {
    let scene = Scene::new();
    let job = scene.admit("s", "hello").await;
    let fence = scene.claim("s", job).await;
    let not_before = scene.now().plus_ms(20_000);
    let change = retry("s", job, fence, not_before);
    scene.apply(change).await.unwrap();
    // As if an earlier wake had parked the timer.
    scene.inner_store.state().timers.get_mut(&job).unwrap().1 = scene.now().plus_ms(60_000);
    let applied = scene.apply(claim_change("s", job, "me")).await;
    assert!(matches!(applied, Ok(Applied::NotDue)));
    assert_eq!(scene.timer(job), not_before);
}

#[tokio::test(start_paused = true)]
async fn a_tick_behind_a_claim_in_one_batch_neither_moves_the_timer_nor_wakes() {
    let scene = Scene::new();
    let job = scene.admit("s", "hello").await;
    let_tasks_run().await;
    scene.queue.purge();
    let at = scene.timer(job);
    let timer = Timer {
        job,
        lane: lane("s"),
        at,
    };
    let (claimed, ticked) = tokio::join!(
        scene.apply(claim_change("s", job, "me")),
        scene.apply(LaneChange::tick(timer, None)),
    );
    assert!(matches!(claimed, Ok(Applied::Claimed { .. })));
    assert!(matches!(ticked, Ok(Applied::Done)));
    let_tasks_run().await;
    assert!(scene.queue.woken().is_empty());
    let timers = scene
        .inner_store
        .state()
        .commits
        .last()
        .unwrap()
        .timers
        .clone();
    assert_eq!(timers, [(job, Some(scene.timer(job)))]);
}

#[tokio::test(start_paused = true)]
async fn a_tick_in_one_batch_with_an_admission_still_wakes_its_head() {
    let scene = Scene::new();
    let job = scene.admit("s", "hello").await;
    let_tasks_run().await;
    scene.queue.purge();
    let at = scene.timer(job);
    let timer = Timer {
        job,
        lane: lane("s"),
        at,
    };
    let (ticked, admitted) = tokio::join!(
        scene.apply(LaneChange::tick(timer, None)),
        scene.apply(scene.admission("s", new_job_id("s"), "behind it")),
    );
    assert!(ticked.is_ok() && admitted.is_ok());
    let_tasks_run().await;
    assert_eq!(scene.queue.woken(), [job]);
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_keeps_the_inputs_of_the_jobs_that_it_cancels() {
    let scene = Scene::new();
    let job_a = scene.admit("s", "one").await;
    let fence = scene.claim("s", job_a).await;
    let (job_b, job_c) = (new_job_id("s"), new_job_id("s"));
    let interrupt = |admit: &mut forebay_shared::lane::Admit| admit.if_busy = IfBusy::Interrupt;
    // The second job is in the store already. The commit that interrupts the third job also admits it.
    scene
        .apply(scene.admission("s", job_b, "two"))
        .await
        .unwrap();
    let last = new_job_id("s");
    let (third, fourth) = tokio::join!(
        scene.apply(scene.admission("s", job_c, "three")),
        scene.apply(scene.admission_with("s", last, "four", interrupt)),
    );
    assert!(third.is_ok() && fourth.is_ok());
    assert_eq!(scene.turns("s"), ["one", "two", "three"]);
    assert_eq!(scene.jobs_in_order("s"), [last]);
    for job in [job_a, job_b, job_c] {
        assert_eq!(scene.ended_as(job), Some(Status::Cancelled));
    }
    let late = scene.apply(finish("s", job_a, fence, "too late")).await;
    assert_eq!(late.unwrap_err().refused(), Some(Refused::Gone));
    let_tasks_run().await;
    assert_eq!(scene.queue.woken(), [job_a, last]);
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_reads_and_writes_only_the_inputs_that_the_session_keeps() {
    let scene = Scene::new();
    // The session keeps 1,000,000 bytes, so at most four of these inputs.
    let text = |n: usize| format!("{n}{}", "x".repeat(240_000));
    for n in 0..50 {
        scene.admit("s", &text(n)).await;
    }
    let last = new_job_id("s");
    let interrupt = |admit: &mut forebay_shared::lane::Admit| admit.if_busy = IfBusy::Interrupt;
    let change = scene.admission_with("s", last, "last", interrupt);
    scene.apply(change).await.unwrap();
    assert_eq!(scene.jobs_in_order("s"), [last]);
    // One more input than the session keeps, so that the store drops all older turns.
    assert_eq!(scene.store.call_count(StoreCall::Request), 5);
    let kept: Vec<String> = (45..50).map(text).collect();
    assert_eq!(scene.turns("s"), kept);
}

#[tokio::test(start_paused = true)]
async fn the_changes_of_a_batch_that_is_too_large_are_made_one_by_one() {
    let scene = Scene::new();
    let running = scene.admit("s", "hello").await;
    let fence = scene.claim("s", running).await;
    let before = scene.commits_made();
    // The batch is too large, and so is the second of its changes.
    let fits = || Fault::After(Box::pin(async {}));
    scene.store.plan(
        StoreCall::Commit,
        [Fault::TooLarge, fits(), Fault::TooLarge],
    );
    let [second, third] = [new_job_id("s"), new_job_id("s")];
    let (finished, refused, admitted) = tokio::join!(
        scene.apply(finish("s", running, fence, "reply")),
        scene.apply(scene.admission("s", second, "large")),
        scene.apply(scene.admission("s", third, "hello")),
    );
    assert!(matches!(finished, Ok(Applied::Done)), "{finished:?}");
    assert!(
        matches!(refused, Err(LaneError::Store(StoreError::TooLarge))),
        "{refused:?}"
    );
    assert!(
        matches!(admitted, Ok(Applied::Admitted { .. })),
        "{admitted:?}"
    );
    assert_eq!(scene.commits_made() - before, 2);
    assert_eq!(scene.jobs_in_order("s"), [third]);
}

#[tokio::test(start_paused = true)]
async fn an_interrupt_without_memory_fails_alone() {
    let scene = Scene::new();
    let running = scene.admit("s", "hello").await;
    let fence = scene.claim("s", running).await;
    let large = scene.admit("s", &"x".repeat(100_000)).await;
    let all = scene
        .reads
        .try_reserve(u64::MAX)
        .expect("nothing is reserved");
    let interrupt = |admit: &mut forebay_shared::lane::Admit| admit.if_busy = IfBusy::Interrupt;
    let change = || scene.admission_with("s", new_job_id("s"), "stop", interrupt);
    let (finished, interrupted) = tokio::join!(
        scene.apply(finish("s", running, fence, "reply")),
        scene.apply(change()),
    );
    assert!(matches!(finished, Ok(Applied::Done)), "{finished:?}");
    assert!(
        matches!(interrupted, Err(LaneError::NoMemory)),
        "{interrupted:?}"
    );
    assert_eq!(scene.jobs_in_order("s"), [large]);
    drop(all);
    scene.apply(change()).await.unwrap();
    assert_eq!(scene.ended_as(large), Some(Status::Cancelled));
}
