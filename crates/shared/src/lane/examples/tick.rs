//! tick: a job's timer is due.

use super::scene::{DEADLINE_MS, LIMIT_MS, READY, Scene, job, process};
use crate::{
    job::Status,
    lane::{ClaimResult, PUBLISH_LIMIT_MS, REVISIT_MS, Refused, State, TAKEOVERS_MAX},
};

#[test]
fn a_queued_head_is_woken_again() {
    let mut scene = Scene::with_messages(1);
    scene.advance_clock(PUBLISH_LIMIT_MS);
    let before = scene.lane.clone();
    let effects = scene.tick(1).unwrap();
    assert_eq!(effects.wake, Some(job(1)));
    assert_eq!(scene.timer_in_ms(1), PUBLISH_LIMIT_MS);
    assert_eq!(scene.lane, before);
}

#[test]
fn the_timer_of_a_job_behind_the_head_returns_to_its_deadline_without_a_wake() {
    let mut scene = Scene::with_messages(2);
    scene.timers.insert(job(2), scene.now);
    let effects = scene.tick(2).unwrap();
    assert_eq!(effects.wake, None);
    assert_eq!(scene.timer_in_ms(2), DEADLINE_MS);
}

#[test]
fn a_tick_before_the_end_of_the_backoff_sets_the_timer_again() {
    let mut scene = Scene::running(1);
    scene.retry(1, 1, 5_000).unwrap();
    scene.advance_clock(4_900);
    let effects = scene.tick(1).unwrap();
    assert_eq!(effects.wake, None);
    assert_eq!(scene.timer_in_ms(1), 100);
}

#[test]
fn a_running_job_of_a_live_worker_is_checked_again_without_a_wake() {
    let mut scene = Scene::running(1);
    scene.advance_clock(REVISIT_MS);
    let before = scene.lane.clone();
    for effects in [scene.tick(1), scene.tick_with_live(1, &["a"])] {
        assert_eq!(effects.unwrap().wake, None);
        assert_eq!(scene.timer_in_ms(1), REVISIT_MS);
        assert_eq!(scene.lane, before);
    }
    scene.now = scene.now.plus_ms(LIMIT_MS - REVISIT_MS - 10);
    scene.tick_with_live(1, &["a"]).unwrap();
    assert_eq!(
        scene.timer_in_ms(1),
        10,
        "the claim's time limit comes before the next check"
    );
}

#[test]
fn a_job_whose_worker_is_gone_is_queued_and_woken() {
    let mut scene = Scene::running(2);
    scene.advance_clock(1_000);
    let effects = scene.tick_with_live(1, &["b"]).unwrap();
    assert_eq!(effects.wake, Some(job(1)));
    assert!(
        effects.dropped_calls.is_empty(),
        "the worker may be alive and may still finish"
    );
    assert_eq!(scene.state(1), &READY);
    assert_eq!(scene.timer_in_ms(1), PUBLISH_LIMIT_MS);
    let head = &scene.lane.entries[0];
    assert_eq!((head.takeovers, head.tries, head.fence), (1, 0, 1));
    let error = head.attempts[0].error.as_ref().unwrap();
    assert_eq!(error.code, "worker_lost");
    assert_eq!(scene.claim(1, "b"), Ok(ClaimResult::Granted { fence: 2 }));
}

#[test]
fn without_a_list_of_live_processes_tick_takes_no_job_from_its_worker() {
    let mut scene = Scene::running(1);
    scene.advance_clock(1_000);
    scene.tick(1).unwrap();
    assert!(matches!(scene.state(1), State::Running { .. }));
}

#[test]
fn tick_takes_no_job_from_a_worker_that_claimed_after_the_list_was_read() {
    let mut scene = Scene::with_messages(1);
    let read_at = scene.now;
    scene.advance_clock(1_000);
    scene.claim(1, "late").unwrap();
    scene.tick_with_live_at(1, &[], read_at).unwrap();
    assert!(matches!(scene.state(1), State::Running { .. }));
    scene.advance_clock(1_000);
    scene.take_over(1).unwrap();
    assert_eq!(scene.state(1), &READY);
}

#[test]
fn a_job_past_the_time_limit_of_its_claim_is_taken_from_a_live_worker() {
    let mut scene = Scene::running(1);
    scene.advance_clock(LIMIT_MS);
    let effects = scene.tick_with_live(1, &["a"]).unwrap();
    assert_eq!(effects.wake, Some(job(1)));
    assert_eq!(scene.lane.entries[0].takeovers, 1);
}

#[test]
fn too_many_takeovers_fail_the_job() {
    let mut scene = Scene::with_messages(2);
    for _ in 0..TAKEOVERS_MAX {
        scene.claim(1, "a").unwrap();
        scene.take_over(1).unwrap();
    }
    scene.claim(1, "a").unwrap();
    let effects = scene.take_over(1).unwrap();
    assert_eq!(scene.ended_as(1), Some(Status::Failed));
    let error = effects.ended[0].error.as_ref().unwrap();
    assert_eq!(error.code, "worker_lost");
    assert_eq!(effects.dropped_calls, [(process("a"), job(1))]);
    assert_eq!(effects.wake, Some(job(2)));
}

#[test]
fn a_job_past_its_deadline_expires_at_any_position() {
    let mut scene = Scene::with_messages(3);
    scene.advance_clock(DEADLINE_MS);
    let effects = scene.tick(2).unwrap();
    assert_eq!(effects.wake, None);
    assert_eq!(scene.ended_as(2), Some(Status::Expired));
    assert_eq!(scene.order(), [1, 3]);
    let effects = scene.tick(1).unwrap();
    assert_eq!(effects.ended[0].error.as_ref().unwrap().code, "expired");
    assert_eq!(effects.wake, Some(job(3)));
    assert_eq!(scene.order(), [3]);
}

#[test]
fn the_call_of_a_running_job_past_its_deadline_is_cancelled() {
    let mut scene = Scene::running(2);
    scene.advance_clock(DEADLINE_MS);
    let effects = scene.tick_with_live(1, &["a"]).unwrap();
    assert_eq!(effects.dropped_calls, [(process("a"), job(1))]);
    assert_eq!(scene.ended_as(1), Some(Status::Expired));
    assert_eq!(effects.wake, Some(job(2)));
}

#[test]
fn a_tick_of_an_ended_job_is_refused() {
    let mut scene = Scene::with_messages(1);
    scene.cancel(1).unwrap();
    assert_eq!(scene.tick(1), Err(Refused::Gone));
}
