//! admit: a gateway admits a job.

use super::scene::{DEADLINE_MS, LIMIT_MS, READY, Scene, error, job, message, results};
use crate::lane::{ClaimResult, LANE_MAX, PUBLISH_LIMIT_MS, Refused};

#[test]
fn the_first_job_gets_a_wake_and_a_timer_at_the_publish_limit() {
    let mut scene = Scene::new();
    let effects = scene.admit(message(1)).unwrap();
    assert!(effects.admitted);
    assert_eq!(effects.wake, Some(job(1)));
    assert_eq!(scene.state(1), &READY);
    assert_eq!(scene.timer_in_ms(1), PUBLISH_LIMIT_MS);
}

#[test]
fn a_deadline_before_the_publish_limit_is_the_timer() {
    let mut scene = Scene::new();
    let deadline = scene.now.plus_ms(1_000);
    let with_early_deadline = crate::lane::Admit {
        deadline,
        ..message(1)
    };
    scene.admit(with_early_deadline).unwrap();
    assert_eq!(scene.timer_in_ms(1), 1_000);
}

#[test]
fn a_later_job_waits_with_its_deadline_as_its_timer_and_no_wake() {
    let mut scene = Scene::with_messages(1);
    let effects = scene.admit(message(2)).unwrap();
    assert_eq!(effects.wake, None);
    assert_eq!(scene.order(), [1, 2]);
    assert_eq!(scene.timer_in_ms(2), DEADLINE_MS);
}

#[test]
fn a_job_is_admitted_once() {
    let mut scene = Scene::running(1);
    assert_eq!(
        scene.admit(message(1)),
        Err(Refused::Exists),
        "the job is running"
    );
    scene.finish(1, 1).unwrap();
    assert_eq!(
        scene.admit(message(1)),
        Err(Refused::Exists),
        "the job has ended"
    );
}

#[test]
fn a_full_lane_refuses_further_jobs() {
    let mut scene = Scene::with_messages(LANE_MAX as u128);
    let one_more = LANE_MAX as u128 + 1;
    assert_eq!(scene.admit(message(one_more)), Err(Refused::Full));
    assert_eq!(scene.admit(results(one_more)), Err(Refused::Full));
    scene.cancel(7).unwrap();
    assert!(scene.admit(message(one_more)).is_ok());
}

#[test]
fn a_repair_appends_the_job_with_a_fence_above_every_older_one() {
    let mut scene = Scene::running(2);
    scene.finish_with_error(1, 1, error("bad_request")).unwrap();
    let effects = scene.admit(repair(1)).unwrap();
    assert_eq!(effects.repaired, Some(job(1)));
    assert!(!effects.admitted, "the job's record exists already");
    assert_eq!(scene.order(), [2, 1]);
    assert_eq!(scene.timer_in_ms(1), DEADLINE_MS);
    assert_eq!(scene.lane.entries[1].fence, 2);
    assert_eq!(scene.lane.entries[1].tries, 0);
}

#[test]
fn an_attempt_from_before_a_repair_cannot_settle() {
    let mut scene = Scene::running(1);
    scene.cancel(1).unwrap();
    scene.admit(repair(1)).unwrap();
    assert_eq!(scene.finish(1, 1), Err(Refused::Fenced));
    assert_eq!(
        scene.finish(1, 2),
        Err(Refused::NotHead),
        "no worker has claimed the repaired job"
    );
    assert_eq!(scene.claim(1, "b"), Ok(ClaimResult::Granted { fence: 3 }));
    assert_eq!(scene.finish(1, 1), Err(Refused::Fenced));
    scene.finish(1, 3).unwrap();
}

#[test]
fn a_repeated_finish_from_before_a_repair_changes_nothing() {
    let mut scene = Scene::running(1);
    let job_error = error("bad_request");
    scene.finish_with_error(1, 1, job_error.clone()).unwrap();
    scene.admit(repair(1)).unwrap();
    let before = scene.lane.clone();
    let effects = scene.finish_with_error(1, 1, job_error).unwrap();
    assert_eq!(effects, crate::lane::Effects::default());
    assert_eq!(scene.lane, before);
}

#[test]
fn only_an_ended_job_can_be_repaired() {
    let mut scene = Scene::with_messages(1);
    assert_eq!(
        scene.admit(repair(1)),
        Err(Refused::Exists),
        "the job is live"
    );
    assert_eq!(
        scene.admit(repair(2)),
        Err(Refused::Exists),
        "the job is unknown"
    );
}

#[test]
fn later_admissions_do_not_change_a_running_head() {
    let mut scene = Scene::running(1);
    scene.advance_clock(LIMIT_MS / 2);
    let before = scene.lane.entries[0].clone();
    scene.admit(message(2)).unwrap();
    scene.admit(results(3)).unwrap();
    assert_eq!(scene.lane.entries[0], before);
}

/// The admission of an ended job under its own id.
fn repair(number: u128) -> crate::lane::Admit {
    crate::lane::Admit {
        is_repair: true,
        ..message(number)
    }
}
