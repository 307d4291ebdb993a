//! cancel: a client cancels a job.

use super::scene::{READY, Scene, job, process};
use crate::{
    job::Status,
    lane::{PUBLISH_LIMIT_MS, Refused},
};

#[test]
fn the_cancel_of_a_queued_head_wakes_the_next_job() {
    let mut scene = Scene::with_messages(2);
    let effects = scene.cancel(1).unwrap();
    assert_eq!(scene.ended_as(1), Some(Status::Cancelled));
    assert_eq!(
        effects.ended[0].settled_fence, 0,
        "no attempt settled the job"
    );
    assert!(effects.dropped_calls.is_empty());
    assert_eq!(effects.wake, Some(job(2)));
    assert_eq!(scene.timer_in_ms(2), PUBLISH_LIMIT_MS);
    assert!(!scene.timers.contains_key(&job(1)));
}

#[test]
fn the_cancel_of_a_running_job_ends_its_attempt_and_cancels_its_call() {
    let mut scene = Scene::running(2);
    let effects = scene.cancel(1).unwrap();
    assert_eq!(effects.dropped_calls, [(process("a"), job(1))]);
    let attempt = &effects.ended[0].entry.attempts[0];
    assert_eq!(attempt.ended_at, Some(scene.now));
    assert_eq!(effects.wake, Some(job(2)));
    assert_eq!(scene.finish(1, 1), Err(Refused::Gone));
}

#[test]
fn the_cancel_of_a_job_behind_the_head_wakes_no_job() {
    let mut scene = Scene::running(3);
    let effects = scene.cancel(2).unwrap();
    assert_eq!(effects.wake, None);
    assert_eq!(scene.order(), [1, 3]);
    assert_eq!(scene.timers.len(), 2);
}

#[test]
fn the_cancel_of_an_ended_or_unknown_job_is_refused() {
    let mut scene = Scene::running(1);
    scene.finish(1, 1).unwrap();
    assert_eq!(scene.cancel(1), Err(Refused::Gone));
    assert_eq!(scene.cancel(9), Err(Refused::Gone));
}

#[test]
fn the_cancel_of_a_head_under_a_hold_ends_the_hold() {
    let mut scene = Scene::running(3);
    scene.finish_with_hold(1, 1, 60_000).unwrap();
    let effects = scene.cancel(2).unwrap();
    assert_eq!(effects.wake, Some(job(3)));
    assert_eq!(scene.state(3), &READY);
    assert_eq!(scene.lane.hold_until, None);
}

#[test]
fn the_cancel_of_a_job_behind_a_held_head_ends_the_hold() {
    let mut scene = Scene::running(3);
    scene.finish_with_hold(1, 1, 60_000).unwrap();
    let effects = scene.cancel(3).unwrap();
    assert_eq!(effects.wake, Some(job(2)));
    assert_eq!(scene.state(2), &READY);
    assert_eq!(scene.timer_in_ms(2), PUBLISH_LIMIT_MS);
}

#[test]
fn the_cancel_of_the_only_job_wakes_no_job_and_leaves_an_empty_lane() {
    let mut scene = Scene::running(2);
    scene.finish_with_hold(1, 1, 60_000).unwrap();
    let effects = scene.cancel(2).unwrap();
    assert_eq!(effects.wake, None);
    assert!(scene.lane.is_empty());
    assert!(scene.timers.is_empty());
}
