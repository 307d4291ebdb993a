//! tick: a job's timer is due.

use super::scene::{DEADLINE_MS, DUE, LIMIT_MS, Scene, job, process};
use crate::{
    job::Status,
    lane::{Claim, GRACE_MS, REVISIT_MS, Refused, State, TAKEOVERS_MAX},
};

#[test]
fn a_queued_head_is_woken_again() {
    let mut scene = Scene::with_messages(1);
    scene.pass_ms(GRACE_MS);
    let before = scene.lane.clone();
    let effects = scene.tick(1).unwrap();
    assert_eq!(effects.wake, Some(job(1)));
    assert_eq!(scene.timer_in_ms(1), GRACE_MS);
    assert_eq!(scene.lane, before);
}

#[test]
fn one_behind_the_head_goes_back_to_its_deadline_without_a_wake() {
    let mut scene = Scene::with_messages(2);
    scene.timers.insert(job(2), scene.now);
    let effects = scene.tick(2).unwrap();
    assert_eq!(effects.wake, None);
    assert_eq!(scene.timer_in_ms(2), DEADLINE_MS);
}

#[test]
fn a_head_that_is_not_due_by_the_true_clock_waits_on() {
    let mut scene = Scene::running(1);
    scene.retry(1, 1, 5_000).unwrap();
    scene.pass_ms(4_900);
    let effects = scene.tick(1).unwrap();
    assert_eq!(effects.wake, None);
    assert_eq!(scene.timer_in_ms(1), 100);
}

#[test]
fn a_running_job_at_work_is_looked_at_again_without_a_wake() {
    let mut scene = Scene::running(1);
    scene.pass_ms(REVISIT_MS);
    let before = scene.lane.clone();
    for effects in [scene.tick(1), scene.tick_seeing(1, &["a"])] {
        assert_eq!(effects.unwrap().wake, None);
        assert_eq!(scene.timer_in_ms(1), REVISIT_MS);
        assert_eq!(scene.lane, before);
    }
    scene.now = scene.now.plus_ms(LIMIT_MS - REVISIT_MS - 10);
    scene.tick_seeing(1, &["a"]).unwrap();
    assert_eq!(scene.timer_in_ms(1), 10, "its limit comes first");
}

#[test]
fn a_job_whose_worker_is_gone_is_queued_and_woken() {
    let mut scene = Scene::running(2);
    scene.pass_ms(1_000);
    let effects = scene.tick_seeing(1, &["b"]).unwrap();
    assert_eq!(effects.wake, Some(job(1)));
    assert!(effects.dropped_calls.is_empty(), "if it lives, it may end");
    assert_eq!(scene.state(1), &DUE);
    assert_eq!(scene.timer_in_ms(1), GRACE_MS);
    let head = &scene.lane.entries[0];
    assert_eq!((head.takeovers, head.tries, head.fence), (1, 0, 1));
    let error = head.attempts[0].error.as_ref().unwrap();
    assert_eq!(error.code, "worker_lost");
    assert_eq!(scene.claim(1, "b"), Ok(Claim::Granted { fence: 2 }));
}

#[test]
fn nobody_is_judged_gone_by_a_sweeper_that_may_not_judge() {
    let mut scene = Scene::running(1);
    scene.pass_ms(1_000);
    scene.tick(1).unwrap();
    assert!(matches!(scene.state(1), State::Running { .. }));
}

#[test]
fn a_worker_that_came_after_the_list_was_read_is_not_gone() {
    let mut scene = Scene::with_messages(1);
    let read_at = scene.now;
    scene.pass_ms(1_000);
    scene.claim(1, "late").unwrap();
    scene.tick_seen(1, &[], read_at).unwrap();
    assert!(matches!(scene.state(1), State::Running { .. }));
    scene.pass_ms(1_000);
    scene.take_over(1).unwrap();
    assert_eq!(scene.state(1), &DUE);
}

#[test]
fn past_its_limit_a_job_is_taken_from_a_worker_that_lives() {
    let mut scene = Scene::running(1);
    scene.pass_ms(LIMIT_MS);
    let effects = scene.tick_seeing(1, &["a"]).unwrap();
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
fn past_the_deadline_a_job_expires_wherever_it_stands() {
    let mut scene = Scene::with_messages(3);
    scene.pass_ms(DEADLINE_MS);
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
fn past_the_deadline_a_running_call_is_dropped() {
    let mut scene = Scene::running(2);
    scene.pass_ms(DEADLINE_MS);
    let effects = scene.tick_seeing(1, &["a"]).unwrap();
    assert_eq!(effects.dropped_calls, [(process("a"), job(1))]);
    assert_eq!(scene.ended_as(1), Some(Status::Expired));
    assert_eq!(effects.wake, Some(job(2)));
}

#[test]
fn what_has_ended_is_gone() {
    let mut scene = Scene::with_messages(1);
    scene.cancel(1).unwrap();
    assert_eq!(scene.tick(1), Err(Refused::Gone));
}
