//! finish: the attempt with the newest fence ends its job.

use super::scene::{READY, Scene, error, job};
use crate::{
    job::Status,
    lane::{Effects, PUBLISH_LIMIT_MS, Refused},
};

#[test]
fn a_completed_job_leaves_the_lane_and_the_next_job_is_woken() {
    let mut scene = Scene::running(2);
    let effects = scene.finish(1, 1).unwrap();
    assert!(effects.keep_turns);
    assert_eq!(effects.ended.len(), 1);
    assert_eq!(effects.ended[0].status, Status::Completed);
    assert_eq!(effects.ended[0].settled_fence, 1);
    assert_eq!(effects.ended[0].entry.attempts[0].ended_at, Some(scene.now));
    assert!(effects.dropped_calls.is_empty());
    assert_eq!(effects.wake, Some(job(2)));
    assert_eq!(scene.order(), [2]);
    assert_eq!(scene.state(2), &READY);
    assert_eq!(scene.timer_in_ms(2), PUBLISH_LIMIT_MS);
    assert!(!scene.timers.contains_key(&job(1)));
}

#[test]
fn the_last_job_leaves_an_empty_lane() {
    let mut scene = Scene::running(1);
    let effects = scene.finish(1, 1).unwrap();
    assert_eq!(effects.wake, None);
    assert!(scene.lane.is_empty());
    assert!(scene.timers.is_empty());
}

#[test]
fn a_failed_job_adds_no_turns_and_the_next_job_is_woken() {
    let mut scene = Scene::running(2);
    let effects = scene.finish_with_error(1, 1, error("bad_request")).unwrap();
    assert!(!effects.keep_turns);
    assert_eq!(effects.ended[0].status, Status::Failed);
    assert_eq!(effects.ended[0].error, Some(error("bad_request")));
    assert_eq!(effects.wake, Some(job(2)));
}

#[test]
fn a_repeated_finish_succeeds_without_effects() {
    let mut scene = Scene::running(2);
    scene.finish(1, 1).unwrap();
    let before = scene.lane.clone();
    assert_eq!(scene.finish(1, 1), Ok(Effects::default()));
    assert_eq!(scene.lane, before);
    assert_eq!(scene.release(1, 1), Ok(Effects::default()));
}

#[test]
fn an_older_attempt_cannot_finish() {
    let mut scene = Scene::running(1);
    scene.take_over(1).unwrap();
    scene.claim(1, "b").unwrap();
    assert_eq!(scene.finish(1, 1), Err(Refused::Fenced));
    scene.finish(1, 2).unwrap();
    assert_eq!(scene.finish(1, 1), Err(Refused::Gone));
}

#[test]
fn a_late_reply_counts_if_no_other_worker_has_claimed_the_job() {
    let mut scene = Scene::running(2);
    scene.take_over(1).unwrap();
    assert_eq!(scene.state(1), &READY);
    let effects = scene.finish(1, 1).unwrap();
    assert_eq!(effects.ended[0].status, Status::Completed);
    assert_eq!(effects.wake, Some(job(2)));
}

#[test]
fn an_attempt_that_released_its_job_cannot_finish_it() {
    let mut scene = Scene::running(1);
    scene.release(1, 1).unwrap();
    assert_eq!(
        scene.finish(1, 1),
        Ok(Effects::default()),
        "the release has settled this fence"
    );
    assert_eq!(scene.order(), [1], "the job is still live");
}

#[test]
fn an_unclaimed_job_cannot_be_finished() {
    let mut scene = Scene::with_messages(2);
    assert_eq!(scene.finish(1, 1), Err(Refused::Fenced));
    assert_eq!(scene.finish(2, 1), Err(Refused::Fenced));
    assert_eq!(scene.finish(3, 1), Err(Refused::Gone));
}

#[test]
fn a_cancelled_job_cannot_be_finished() {
    let mut scene = Scene::running(1);
    scene.cancel(1).unwrap();
    assert_eq!(scene.finish(1, 1), Err(Refused::Gone));
}
