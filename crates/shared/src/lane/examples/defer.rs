//! defer and resume: a job waits for its provider without a try, without a claim, and at the head of its lane.

use super::scene::{
    DEADLINE_MS, LIMIT_MS, READY, Scene, account, error, job, message, process, results,
};
use crate::{
    class::Class,
    ids::JobId,
    job::Status,
    lane::{
        Admit, ClaimResult, DEFERRED_MS_MAX, Effects, Entry, HeadState, IfBusy, Lane, Refused,
        State,
    },
};

/// A scene with one job whose deadline is later than the longest wait of a deferral.
fn with_late_deadline() -> Scene {
    let mut scene = Scene::new();
    let deadline = scene.now.plus_ms(10 * DEFERRED_MS_MAX);
    let admit = Admit {
        deadline,
        ..message(1)
    };
    scene.admit(admit).unwrap();
    scene
}

fn head(scene: &Scene) -> &Entry {
    scene.lane.head().expect("the lane has a head")
}

fn is_deferred(scene: &Scene) -> bool {
    matches!(head(scene).state, State::Deferred(_))
}

#[test]
fn a_head_that_no_worker_has_claimed_waits_without_an_attempt() {
    let mut scene = with_late_deadline();
    let effects = scene.defer(1).unwrap();
    assert_eq!(effects.wake, None);
    assert!(effects.ended.is_empty());
    assert_eq!(scene.timer_in_ms(1), DEFERRED_MS_MAX);
    let head = head(&scene);
    assert_eq!((head.fence, head.tries, head.claimed), (0, 0, false));
    assert!(head.attempts.is_empty());
    let State::Deferred(deferral) = &head.state else {
        panic!("the job is not deferred");
    };
    assert_eq!(deferral.account, account());
    assert_eq!(deferral.error, error("rate_limited"));
    let state = HeadState::Deferred(account(), Class::Interactive);
    assert_eq!(scene.lane.head_state(), Some(state));
    assert_eq!(scene.counts().interactive.provider_wait, 1);
}

#[test]
fn a_deadline_before_the_longest_wait_is_the_timer() {
    let mut scene = Scene::running(1);
    scene.advance_clock(1);
    scene.defer_attempt(1, 1).unwrap();
    assert_eq!(scene.timer_in_ms(1), DEADLINE_MS - 1);
}

#[test]
fn an_attempt_that_the_provider_refused_ends_without_a_try() {
    let mut scene = Scene::running(2);
    scene.defer_attempt(1, 1).unwrap();
    assert_eq!(scene.order(), [1, 2]);
    let head = head(&scene);
    assert_eq!((head.tries, head.fence, head.settled_fence), (0, 1, 1));
    assert!(head.claimed);
    assert_eq!(head.attempts[0].error, Some(error("rate_limited")));
    assert_eq!(head.attempts[0].ended_at, Some(scene.now));
    assert_eq!(scene.defer_attempt(1, 1), Ok(Effects::default()));
    assert_eq!(scene.finish(1, 1), Ok(Effects::default()), "a repeat");
}

#[test]
fn an_older_attempt_cannot_defer() {
    let mut scene = Scene::running(1);
    scene.take_over(1).unwrap();
    scene.claim(1, "b").unwrap();
    assert_eq!(scene.defer_attempt(1, 1), Err(Refused::Fenced));
    assert!(!is_deferred(&scene));
}

#[test]
fn an_attempt_may_still_defer_after_a_takeover() {
    let mut scene = Scene::running(1);
    scene.take_over(1).unwrap();
    scene.defer_attempt(1, 1).unwrap();
    assert!(is_deferred(&scene));
}

#[test]
fn a_running_job_is_deferred_only_by_its_attempt() {
    let mut scene = Scene::running(1);
    let before = scene.lane.clone();
    assert_eq!(scene.defer(1), Err(Refused::Running));
    assert_eq!(scene.lane, before);
}

#[test]
fn an_older_attempt_may_finish_a_deferred_job() {
    let mut scene = Scene::running(1);
    scene.take_over(1).unwrap();
    scene.defer(1).unwrap();
    assert!(head(&scene).claimed);
    scene.finish(1, 1).unwrap();
    assert_eq!(scene.ended_as(1), Some(Status::Completed));
}

#[test]
fn a_resume_wakes_the_head() {
    let mut scene = Scene::with_messages(2);
    scene.defer(1).unwrap();
    let effects = scene.resume(1).unwrap();
    assert_eq!(effects.wake, Some(job(1)));
    assert_eq!(scene.state(1), &READY);
    assert_eq!(scene.resume(1), Err(Refused::NotDeferred));
    assert_eq!(scene.resume(2), Err(Refused::NotHead));
    let granted = ClaimResult::Granted { fence: 1 };
    assert_eq!(scene.claim(1, "a"), Ok(granted));
    assert_eq!(scene.resume(1), Err(Refused::Running));
}

#[test]
fn a_deferred_head_cannot_be_claimed() {
    let mut scene = with_late_deadline();
    scene.defer(1).unwrap();
    let not_before = scene.now.plus_ms(DEFERRED_MS_MAX);
    let result = scene.claim(1, "a");
    assert_eq!(result, Ok(ClaimResult::NotDue { not_before }));
    assert!(is_deferred(&scene));
}

#[test]
fn a_repeated_deferral_sets_the_timer_again_and_changes_nothing_else() {
    let mut scene = with_late_deadline();
    scene.defer(1).unwrap();
    let before = scene.lane.clone();
    scene.advance_clock(1_000);
    scene.defer(1).unwrap();
    assert_eq!(scene.lane, before);
    assert_eq!(scene.timer_in_ms(1), DEFERRED_MS_MAX - 1_000);
}

#[test]
fn a_job_before_its_retry_is_not_deferred() {
    let mut scene = Scene::running(1);
    scene.retry(1, 1, 5_000).unwrap();
    let before = scene.lane.clone();
    scene.defer(1).unwrap();
    assert_eq!(scene.lane, before);
    scene.advance_clock(5_000);
    scene.defer(1).unwrap();
    assert!(is_deferred(&scene));
}

#[test]
fn a_job_under_a_hold_is_not_deferred() {
    let mut scene = Scene::running(2);
    scene.finish_with_hold(1, 1, 60_000).unwrap();
    let before = scene.lane.clone();
    scene.defer(2).unwrap();
    assert_eq!(scene.lane, before);
}

#[test]
fn a_deferral_ends_a_hold_that_has_passed() {
    let mut scene = Scene::running(2);
    scene.finish_with_hold(1, 1, 1_000).unwrap();
    scene.advance_clock(1_000);
    scene.defer(2).unwrap();
    assert!(is_deferred(&scene));
    assert_eq!(scene.lane.hold_until, None);
}

#[test]
fn the_longest_wait_ends_with_a_wake() {
    let mut scene = with_late_deadline();
    scene.defer(1).unwrap();
    scene.advance_clock(DEFERRED_MS_MAX - 1);
    assert_eq!(scene.tick(1).unwrap().wake, None);
    scene.advance_clock(1);
    assert_eq!(scene.tick(1).unwrap().wake, Some(job(1)));
    assert_eq!(scene.state(1), &READY);
}

#[test]
fn a_deferred_job_expires_with_the_error_of_its_provider() {
    let mut scene = Scene::with_messages(1);
    scene.defer(1).unwrap();
    scene.advance_clock(DEADLINE_MS);
    assert_eq!(scene.resume(1), Err(Refused::Gone));
    let effects = scene.tick(1).unwrap();
    assert_eq!(effects.ended[0].status, Status::Expired);
    let error = effects.ended[0].error.as_ref().unwrap();
    assert!(
        error.message.ends_with("acme: an error of the test"),
        "{}",
        error.message
    );
}

/// The jobs that a tick has expired, and the messages of their errors.
fn expired(effects: &Effects) -> Vec<(JobId, &str)> {
    let ended = effects.ended.iter();
    ended
        .map(|ended| {
            assert_eq!(ended.status, Status::Expired);
            let error = ended.error.as_ref().expect("an expired job has an error");
            (ended.entry.job, error.message.as_str())
        })
        .collect()
}

const BEHIND_DEFERRED: &str = "the job was not done by its expires_at; \
     a job before it in its session waited for acme: an error of the test";

#[test]
fn a_job_behind_a_deferred_head_expires_with_the_error_of_the_heads_provider() {
    let mut scene = with_late_deadline();
    scene.admit(message(2)).unwrap();
    scene.defer(1).unwrap();
    scene.advance_clock(DEADLINE_MS);
    let effects = scene.tick(2).unwrap();
    assert_eq!(expired(&effects), [(job(2), BEHIND_DEFERRED)]);
    assert_eq!(effects.wake, None);
    assert!(is_deferred(&scene));
}

#[test]
fn a_job_behind_a_head_that_is_not_deferred_expires_without_an_error_of_a_provider() {
    let mut scene = with_late_deadline();
    scene.admit(message(2)).unwrap();
    scene.defer(1).unwrap();
    scene.resume(1).unwrap();
    scene.advance_clock(DEADLINE_MS);
    let effects = scene.tick(2).unwrap();
    let message = "the job was not done by its expires_at";
    assert_eq!(expired(&effects), [(job(2), message)]);
}

#[test]
fn jobs_past_their_deadlines_expire_together_with_their_deferred_head() {
    let mut scene = Scene::with_messages(2);
    let late = Admit {
        deadline: scene.now.plus_ms(10 * DEFERRED_MS_MAX),
        ..message(3)
    };
    scene.admit(late).unwrap();
    scene.admit(message(4)).unwrap();
    scene.defer(1).unwrap();
    scene.advance_clock(DEADLINE_MS);
    let effects = scene.tick(1).unwrap();
    let of_head =
        "the job was not done by its expires_at; it waited for acme: an error of the test";
    let expected = [
        (job(1), of_head),
        (job(2), BEHIND_DEFERRED),
        (job(4), BEHIND_DEFERRED),
    ];
    assert_eq!(expired(&effects), expected);
    assert_eq!(effects.wake, Some(job(3)));
    assert_eq!(scene.order(), [3]);
    assert_eq!(scene.tick(2), Err(Refused::Gone));
}

#[test]
fn tool_results_go_before_a_deferred_job_that_was_never_claimed() {
    let mut scene = Scene::with_messages(1);
    scene.defer(1).unwrap();
    scene.admit(results(2)).unwrap();
    assert_eq!(scene.order(), [2, 1]);
    assert_eq!(
        scene.state(1),
        &READY,
        "the job asks for a permit again once it is the head"
    );
    assert_eq!(scene.counts().interactive.provider_wait, 0);
}

#[test]
fn tool_results_go_behind_a_deferred_job_that_was_claimed() {
    let mut scene = Scene::running(1);
    scene.defer_attempt(1, 1).unwrap();
    scene.admit(results(2)).unwrap();
    assert_eq!(scene.order(), [1, 2]);
    assert!(is_deferred(&scene));
}

#[test]
fn a_deferred_job_can_be_cancelled_and_replaced() {
    let mut scene = Scene::with_messages(2);
    scene.defer(1).unwrap();
    let effects = scene.cancel(1).unwrap();
    assert_eq!(effects.wake, Some(job(2)));
    assert!(effects.dropped_calls.is_empty());
    scene.defer(2).unwrap();
    let newer = Admit {
        if_busy: IfBusy::Rollback,
        ..message(3)
    };
    scene.admit(newer).unwrap();
    assert_eq!(scene.order(), [3]);
    assert_eq!(scene.ended_as(2), Some(Status::Cancelled));
}

#[test]
fn an_older_release_reads_a_deferred_job_as_queued_until_its_longest_wait_ends() {
    let mut scene = with_late_deadline();
    scene.defer(1).unwrap();
    let stored = serde_json::to_value(&scene.lane).unwrap();
    let state = &stored["entries"][0]["state"]["queued"];
    assert_eq!(state["not_before"], scene.now.plus_ms(DEFERRED_MS_MAX).0);
    assert_eq!(state["provider_wait"]["account"], "acme");

    let mut woken_by_older = stored.clone();
    woken_by_older["entries"][0]["state"]["queued"]["not_before"] = serde_json::Value::Null;
    let lane: Lane = serde_json::from_value(woken_by_older).unwrap();
    assert_eq!(lane.entries[0].state, READY);

    let mut claimed_by_older = stored.clone();
    claimed_by_older["entries"][0]["state"] = serde_json::json!({"running": {
        "worker": "a",
        "until": scene.now.plus_ms(LIMIT_MS),
        "provider_wait": state["provider_wait"],
    }});
    let mut claimed: Lane = serde_json::from_value(claimed_by_older).unwrap();
    let worker = process("a");
    assert!(
        matches!(&claimed.entries[0].state, State::Running { worker: owner, .. } if *owner == worker)
    );
    // A process of this release takes the job over and defers it again.
    claimed.entries[0].state = scene.lane.entries[0].state.clone();
    let stored = serde_json::to_string(&claimed).unwrap();
    let read: Lane = serde_json::from_str(&stored).unwrap();
    assert_eq!(read, claimed);
}
