//! Tool results enter the lane before waiting messages. The hold makes messages wait for tool results.

use super::scene::{DEADLINE_MS, READY, Scene, error, job, message, results};
use crate::{
    job::Status,
    lane::{ClaimResult, PUBLISH_LIMIT_MS, Refused, State},
};

const HOLD_MS: u64 = 60_000;

/// Job 1 has completed with tool calls; messages 2 to `count` wait.
fn under_hold(count: u128) -> Scene {
    let mut scene = Scene::running(count);
    scene.finish_with_hold(1, 1, HOLD_MS).unwrap();
    scene
}

#[test]
fn a_waiting_message_gets_no_wake_during_the_hold() {
    let mut scene = Scene::running(2);
    let effects = scene.finish_with_hold(1, 1, HOLD_MS).unwrap();
    assert_eq!(effects.wake, None);
    let not_before = Some(scene.now.plus_ms(HOLD_MS));
    assert_eq!(scene.state(2), &State::Queued { not_before });
    assert_eq!(scene.timer_in_ms(2), HOLD_MS);
    let claim = scene.claim(2, "a").unwrap();
    assert!(matches!(claim, ClaimResult::NotDue { .. }));
}

#[test]
fn a_message_that_arrives_during_the_hold_waits_until_the_hold_ends() {
    let mut scene = under_hold(1);
    scene.advance_clock(20_000);
    let effects = scene.admit(message(2)).unwrap();
    assert_eq!(effects.wake, None);
    assert_eq!(scene.timer_in_ms(2), 40_000);
}

#[test]
fn tool_results_go_before_waiting_messages_and_end_the_hold() {
    let mut scene = under_hold(2);
    let effects = scene.admit(results(3)).unwrap();
    assert_eq!(scene.order(), [3, 2]);
    assert_eq!(effects.wake, Some(job(3)));
    assert_eq!(scene.timer_in_ms(3), PUBLISH_LIMIT_MS);
    assert_eq!(scene.timer_in_ms(2), DEADLINE_MS);
    assert_eq!(scene.state(2), &READY);
    assert_eq!(scene.lane.hold_until, None);
    assert!(scene.claim(3, "a").is_ok());
}

#[test]
fn tool_results_without_waiting_messages_run_at_once() {
    let mut scene = under_hold(1);
    let effects = scene.admit(results(2)).unwrap();
    assert_eq!(effects.wake, Some(job(2)));
    assert_eq!(scene.lane.hold_until, None);
    scene.admit(message(3)).unwrap();
    assert_eq!(scene.order(), [2, 3]);
}

#[test]
fn tool_results_that_arrive_before_the_reply_is_committed_do_not_wait() {
    let mut scene = Scene::running(2);
    scene.admit(results(3)).unwrap();
    assert_eq!(
        scene.order(),
        [1, 3, 2],
        "tool results go behind the running job and before waiting messages"
    );
    let effects = scene.finish_with_hold(1, 1, HOLD_MS).unwrap();
    assert_eq!(effects.wake, Some(job(3)));
    assert_eq!(scene.state(3), &READY);
    assert_eq!(scene.lane.hold_until, None);
}

#[test]
fn tool_results_keep_their_order_of_arrival() {
    let mut scene = under_hold(2);
    scene.admit(results(3)).unwrap();
    scene.admit(results(4)).unwrap();
    assert_eq!(scene.order(), [3, 4, 2]);
}

#[test]
fn tool_results_never_displace_a_claimed_head() {
    let mut scene = Scene::running(2);
    scene.retry(1, 1, 5_000).unwrap();
    scene.admit(results(3)).unwrap();
    assert_eq!(scene.order(), [1, 3, 2], "job 1 waits for its next try");

    let mut scene = Scene::running(2);
    scene.take_over(1).unwrap();
    scene.admit(results(3)).unwrap();
    assert_eq!(scene.order(), [1, 3, 2], "job 1 was taken from its worker");
    scene.finish(1, 1).unwrap();
}

#[test]
fn without_tool_results_tick_wakes_the_message_at_the_end_of_the_hold() {
    let mut scene = under_hold(2);
    scene.advance_clock(HOLD_MS);
    let effects = scene.tick(2).unwrap();
    assert_eq!(effects.wake, Some(job(2)));
    assert_eq!(scene.state(2), &READY);
    assert_eq!(scene.lane.hold_until, None);
    assert_eq!(scene.claim(2, "a"), Ok(ClaimResult::Granted { fence: 1 }));
}

#[test]
fn a_hold_that_has_passed_delays_no_message() {
    let mut scene = under_hold(1);
    scene.advance_clock(HOLD_MS);
    let effects = scene.admit(message(2)).unwrap();
    assert_eq!(effects.wake, Some(job(2)));
    assert_eq!(scene.lane.hold_until, None);
}

#[test]
fn a_claim_ends_a_hold_that_has_passed() {
    let mut scene = under_hold(2);
    scene.advance_clock(HOLD_MS);
    assert!(scene.claim(2, "a").is_ok());
    assert_eq!(scene.lane.hold_until, None);
}

#[test]
fn a_failed_job_begins_no_hold() {
    let mut scene = Scene::running(2);
    let effects = scene
        .finish_as(1, 1, Some(error("server_error")), Some(HOLD_MS))
        .unwrap();
    assert_eq!(effects.wake, Some(job(2)));
    assert_eq!(scene.lane.hold_until, None);
}

#[test]
fn the_hold_continues_after_a_waiting_message_has_expired() {
    let mut scene = under_hold(3);
    let not_before = scene.now.plus_ms(HOLD_MS);
    scene.lane.entries[0].deadline = scene.now.plus_ms(1_000);
    scene.advance_clock(1_000);
    let effects = scene.tick(2).unwrap();
    assert_eq!(scene.ended_as(2), Some(Status::Expired));
    assert_eq!(effects.wake, None);
    let not_before = Some(not_before);
    assert_eq!(scene.state(3), &State::Queued { not_before });
    assert_eq!(scene.timer_in_ms(3), HOLD_MS - 1_000);
}

#[test]
fn an_empty_lane_under_a_hold_is_kept() {
    let mut scene = under_hold(1);
    assert!(scene.lane.entries.is_empty());
    assert!(!scene.lane.is_empty());
    assert_eq!(scene.claim(1, "a"), Err(Refused::Gone));
    assert!(scene.lane.hold_until.is_some());
}
