//! claim: a worker claims the head.

use super::scene::{LIMIT_MS, Scene, job, message, process};
use crate::lane::{Admit, ClaimResult, Event, REVISIT_MS, Refused, State};

#[test]
fn a_granted_claim_raises_the_fence_by_1() {
    let mut scene = Scene::with_messages(2);
    assert_eq!(scene.claim(1, "a"), Ok(ClaimResult::Granted { fence: 1 }));
    let until = scene.now.plus_ms(LIMIT_MS);
    let worker = process("a");
    assert_eq!(scene.state(1), &State::Running { worker, until });
    let head = &scene.lane.entries[0];
    assert!(head.claimed);
    assert_eq!(head.started_at, Some(scene.now));
    assert_eq!(head.attempts.len(), 1);
    assert_eq!(head.attempts[0].n, 1);
    assert_eq!(head.attempts[0].ended_at, None);
}

#[test]
fn a_running_job_is_checked_again_within_a_minute() {
    let scene = Scene::running(1);
    assert_eq!(scene.timer_in_ms(1), REVISIT_MS);
}

#[test]
fn a_limit_or_a_deadline_within_a_minute_sets_the_timer_of_a_running_job() {
    let mut scene = Scene::with_messages(1);
    let claim = Event::Claim {
        job: job(1),
        worker: process("a"),
        repeated_fence: None,
        limit_ms: 20_000,
    };
    scene.apply(&claim).unwrap();
    assert_eq!(scene.timer_in_ms(1), 20_000);

    let mut scene = Scene::new();
    let deadline = scene.now.plus_ms(10_000);
    let with_early_deadline = Admit {
        deadline,
        ..message(1)
    };
    scene.admit(with_early_deadline).unwrap();
    scene.apply(&claim).unwrap();
    assert_eq!(scene.timer_in_ms(1), 10_000);
}

#[test]
fn a_repeated_claim_returns_the_same_fence() {
    let mut scene = Scene::running(1);
    let before = scene.lane.clone();
    let again = scene.claim_again(1, "a", Some(1));
    assert_eq!(again, Ok(ClaimResult::Granted { fence: 1 }));
    assert_eq!(scene.lane, before);
}

#[test]
fn a_claim_of_a_running_job_is_refused() {
    let mut scene = Scene::running(1);
    assert_eq!(scene.claim(1, "b"), Err(Refused::Running));
    assert_eq!(
        scene.claim(1, "a"),
        Err(Refused::Running),
        "worker a repeats no fence"
    );
    let by_other_worker = scene.claim_again(1, "b", Some(1));
    assert_eq!(
        by_other_worker,
        Err(Refused::Running),
        "worker b does not run the job"
    );
    let with_older_fence = scene.claim_again(1, "a", Some(0));
    assert_eq!(
        with_older_fence,
        Err(Refused::Running),
        "worker a repeats another fence"
    );
}

#[test]
fn a_repeated_claim_after_a_takeover_is_a_new_attempt() {
    let mut scene = Scene::running(1);
    scene.take_over(1).unwrap();
    let again = scene.claim_again(1, "a", Some(1));
    assert_eq!(again, Ok(ClaimResult::Granted { fence: 2 }));
}

#[test]
fn only_the_head_can_be_claimed() {
    let mut scene = Scene::with_messages(2);
    assert_eq!(scene.claim(2, "a"), Err(Refused::NotHead));
}

#[test]
fn a_claim_of_an_ended_or_unknown_job_is_refused() {
    let mut scene = Scene::with_messages(1);
    scene.cancel(1).unwrap();
    assert_eq!(scene.claim(1, "a"), Err(Refused::Gone));
    assert_eq!(scene.claim(9, "a"), Err(Refused::Gone));
}

#[test]
fn a_claim_that_comes_too_early_sets_the_timer_to_when_the_job_may_run() {
    let mut scene = Scene::running(1);
    scene.retry(1, 1, 5_000).unwrap();
    let not_before = scene.now.plus_ms(5_000);
    // The confirmation of an earlier wake has parked the timer.
    scene.timers.insert(job(1), scene.now.plus_ms(60_000));
    let before = scene.lane.clone();
    assert_eq!(scene.claim(1, "b"), Ok(ClaimResult::NotDue { not_before }));
    assert_eq!(scene.timer_in_ms(1), 5_000);
    assert_eq!(scene.lane, before);

    scene.advance_clock(5_000);
    assert_eq!(scene.claim(1, "b"), Ok(ClaimResult::Granted { fence: 2 }));
}

#[test]
fn a_claim_after_the_deadline_is_refused() {
    let mut scene = Scene::with_messages(1);
    scene.now = scene.lane.entries[0].deadline;
    assert_eq!(scene.claim(1, "a"), Err(Refused::Gone));
    assert!(
        scene.timers[&job(1)] <= scene.now,
        "the timer must be due, so that the sweeper expires the job"
    );
}

#[test]
fn the_newest_attempts_are_kept_and_their_numbers_continue() {
    let mut scene = Scene::with_messages(1);
    for fence in 1..=25 {
        assert_eq!(scene.claim(1, "a"), Ok(ClaimResult::Granted { fence }));
        scene.release(1, fence).unwrap();
    }
    let attempts = &scene.lane.entries[0].attempts;
    assert_eq!(attempts.len(), crate::lane::ATTEMPTS_MAX);
    let numbers: Vec<u32> = attempts.iter().map(|attempt| attempt.n).collect();
    assert_eq!(numbers, (6..=25).collect::<Vec<u32>>());
}
