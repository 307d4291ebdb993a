//! release: a worker releases its job, for example because it shuts down.

use super::scene::{READY, Scene, job};
use crate::lane::{ClaimResult, Effects, PUBLISH_LIMIT_MS, Refused};

#[test]
fn a_released_job_is_ready_again_and_no_try_is_counted() {
    let mut scene = Scene::running(2);
    let effects = scene.release(1, 1).unwrap();
    assert_eq!(effects.wake, Some(job(1)));
    assert_eq!(scene.state(1), &READY);
    assert_eq!(scene.timer_in_ms(1), PUBLISH_LIMIT_MS);
    let head = &scene.lane.entries[0];
    assert_eq!((head.tries, head.takeovers), (0, 0));
    assert!(head.attempts[0].ended_at.is_some());
}

#[test]
fn a_release_keeps_the_fence_and_the_next_claim_raises_it() {
    let mut scene = Scene::running(1);
    scene.release(1, 1).unwrap();
    assert_eq!(scene.lane.entries[0].fence, 1);
    assert_eq!(scene.claim(1, "b"), Ok(ClaimResult::Granted { fence: 2 }));
}

#[test]
fn a_repeated_release_succeeds_without_effects() {
    let mut scene = Scene::running(1);
    scene.release(1, 1).unwrap();
    assert_eq!(scene.release(1, 1), Ok(Effects::default()));
    scene.claim(1, "b").unwrap();
    let before = scene.lane.clone();
    assert_eq!(scene.release(1, 1), Ok(Effects::default()));
    assert_eq!(scene.lane, before);
}

#[test]
fn a_job_can_be_released_after_its_takeover() {
    let mut scene = Scene::running(1);
    scene.take_over(1).unwrap();
    let effects = scene.release(1, 1).unwrap();
    assert_eq!(effects.wake, Some(job(1)));
}

#[test]
fn an_older_attempt_cannot_release() {
    let mut scene = Scene::running(1);
    scene.take_over(1).unwrap();
    scene.claim(1, "b").unwrap();
    assert_eq!(scene.release(1, 1), Err(Refused::Fenced));
}
