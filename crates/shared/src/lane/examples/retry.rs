//! retry: the next try begins after a backoff.

use super::scene::{READY, Scene, TRIES_MAX, error, job};
use crate::{
    job::Status,
    lane::{Effects, Event, Refused, State},
};

#[test]
fn the_job_stays_the_head_and_the_sweeper_wakes_it_after_the_backoff() {
    let mut scene = Scene::running(2);
    let effects = scene.retry(1, 1, 5_000).unwrap();
    assert_eq!(effects.wake, None);
    assert_eq!(scene.order(), [1, 2]);
    let not_before = Some(scene.now.plus_ms(5_000));
    assert_eq!(scene.state(1), &State::Queued { not_before });
    assert_eq!(scene.timer_in_ms(1), 5_000);
    let head = &scene.lane.entries[0];
    assert_eq!(head.tries, 1);
    assert_eq!(head.attempts[0].error, Some(error("rate_limited")));
    assert_eq!(head.attempts[0].ended_at, Some(scene.now));

    scene.advance_clock(5_000);
    let effects = scene.tick(1).unwrap();
    assert_eq!(effects.wake, Some(job(1)));
    assert_eq!(scene.state(1), &READY);
}

#[test]
fn a_deadline_before_the_end_of_the_backoff_is_the_timer() {
    let mut scene = Scene::running(1);
    let deadline_in_ms = scene.lane.entries[0].deadline.since_ms(scene.now);
    scene.retry(1, 1, 2 * deadline_in_ms).unwrap();
    assert_eq!(scene.timer_in_ms(1), deadline_in_ms);
}

#[test]
fn the_job_fails_at_its_last_try() {
    let mut scene = Scene::with_messages(2);
    for fence in 1..u64::from(TRIES_MAX) {
        scene.claim(1, "a").unwrap();
        let effects = scene.retry(1, fence, 0).unwrap();
        assert!(effects.ended.is_empty());
    }
    scene.claim(1, "a").unwrap();
    let effects = scene.retry(1, u64::from(TRIES_MAX), 0).unwrap();
    assert_eq!(effects.ended[0].status, Status::Failed);
    assert_eq!(effects.ended[0].error, Some(error("rate_limited")));
    assert_eq!(effects.ended[0].entry.tries, TRIES_MAX);
    assert_eq!(effects.wake, Some(job(2)));
    assert!(!effects.keep_turns);
    let again = scene.retry(1, u64::from(TRIES_MAX), 0);
    assert_eq!(again, Ok(Effects::default()), "the last retry is repeated");
}

#[test]
fn with_a_limit_of_1_try_the_first_failure_ends_the_job() {
    let mut scene = Scene::running(1);
    let effects = scene.apply(&Event::Retry {
        job: job(1),
        fence: 1,
        not_before: scene.now,
        tries_max: 1,
        error: error("rate_limited"),
    });
    assert_eq!(effects.unwrap().ended[0].status, Status::Failed);
}

#[test]
fn a_repeated_retry_counts_no_second_try() {
    let mut scene = Scene::running(1);
    scene.retry(1, 1, 5_000).unwrap();
    let before = scene.lane.clone();
    assert_eq!(scene.retry(1, 1, 9_000), Ok(Effects::default()));
    assert_eq!(scene.lane, before);
}

#[test]
fn a_repeated_retry_changes_nothing_after_the_next_attempt_has_begun() {
    let mut scene = Scene::running(1);
    scene.retry(1, 1, 0).unwrap();
    scene.claim(1, "b").unwrap();
    let before = scene.lane.clone();
    assert_eq!(scene.retry(1, 1, 0), Ok(Effects::default()));
    assert_eq!(scene.lane, before);
    scene.finish(1, 2).unwrap();
}

#[test]
fn an_older_attempt_cannot_retry() {
    let mut scene = Scene::running(1);
    scene.take_over(1).unwrap();
    scene.claim(1, "b").unwrap();
    assert_eq!(scene.retry(1, 1, 0), Err(Refused::Fenced));
}

#[test]
fn a_takeover_counts_no_try() {
    let mut scene = Scene::running(1);
    scene.take_over(1).unwrap();
    assert_eq!(scene.lane.entries[0].tries, 0);
    scene.retry(1, 1, 0).unwrap();
    assert_eq!(
        scene.lane.entries[0].tries, 1,
        "a retry after the takeover counts"
    );
}
