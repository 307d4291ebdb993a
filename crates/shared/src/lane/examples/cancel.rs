//! cancel: a client cancels a job.

use super::scene::{READY, Scene, job, process};
use crate::{
    job::Status,
    lane::{PUBLISH_LIMIT_MS, Refused},
};

#[test]
fn a_queued_head_leaves_and_the_next_is_woken() {
    let mut scene = Scene::with_messages(2);
    let effects = scene.cancel(1).unwrap();
    assert_eq!(scene.ended_as(1), Some(Status::Cancelled));
    assert_eq!(effects.ended[0].settled, 0, "no attempt ended it");
    assert!(effects.dropped_calls.is_empty());
    assert_eq!(effects.wake, Some(job(2)));
    assert_eq!(scene.timer_in_ms(2), PUBLISH_LIMIT_MS);
    assert!(!scene.timers.contains_key(&job(1)));
}

#[test]
fn a_running_call_is_dropped_and_its_attempt_ended() {
    let mut scene = Scene::running(2);
    let effects = scene.cancel(1).unwrap();
    assert_eq!(effects.dropped_calls, [(process("a"), job(1))]);
    let attempt = &effects.ended[0].entry.attempts[0];
    assert_eq!(attempt.ended_at, Some(scene.now));
    assert_eq!(effects.wake, Some(job(2)));
    assert_eq!(scene.finish(1, 1), Err(Refused::Gone));
}

#[test]
fn a_job_behind_the_head_leaves_without_a_wake() {
    let mut scene = Scene::running(3);
    let effects = scene.cancel(2).unwrap();
    assert_eq!(effects.wake, None);
    assert_eq!(scene.order(), [1, 3]);
    assert_eq!(scene.timers.len(), 2);
}

#[test]
fn an_ended_or_unknown_job_is_gone() {
    let mut scene = Scene::running(1);
    scene.finish(1, 1).unwrap();
    assert_eq!(scene.cancel(1), Err(Refused::Gone));
    assert_eq!(scene.cancel(9), Err(Refused::Gone));
}

#[test]
fn the_cancel_of_a_held_head_ends_the_hold_for_the_next() {
    let mut scene = Scene::running(3);
    scene.finish_as(1, 1, None, Some(60_000)).unwrap();
    let effects = scene.cancel(2).unwrap();
    assert_eq!(effects.wake, Some(job(3)));
    assert_eq!(scene.state(3), &READY);
    assert_eq!(scene.lane.hold_until, None);
}

#[test]
fn the_cancel_of_another_job_ends_the_hold_for_the_head() {
    let mut scene = Scene::running(3);
    scene.finish_as(1, 1, None, Some(60_000)).unwrap();
    let effects = scene.cancel(3).unwrap();
    assert_eq!(effects.wake, Some(job(2)));
    assert_eq!(scene.state(2), &READY);
    assert_eq!(scene.timer_in_ms(2), PUBLISH_LIMIT_MS);
}

#[test]
fn the_cancel_of_the_only_job_wakes_no_job_and_leaves_an_empty_lane() {
    let mut scene = Scene::running(2);
    scene.finish_as(1, 1, None, Some(60_000)).unwrap();
    let effects = scene.cancel(2).unwrap();
    assert_eq!(effects.wake, None);
    assert!(scene.lane.is_empty());
    assert!(scene.timers.is_empty());
}
