//! `if_busy`: the effect of a new message on the live jobs of its session.

use super::scene::{READY, Scene, job, message, process};
use crate::{
    job::Status,
    lane::{Admit, ClaimResult, IfBusy, LANE_MAX, PUBLISH_LIMIT_MS, Refused},
};

fn message_with(number: u128, if_busy: IfBusy) -> Admit {
    Admit {
        if_busy,
        ..message(number)
    }
}

#[test]
fn every_if_busy_admits_the_job_to_an_idle_session() {
    for if_busy in [
        IfBusy::Enqueue,
        IfBusy::Reject,
        IfBusy::Rollback,
        IfBusy::Interrupt,
    ] {
        let mut scene = Scene::new();
        let effects = scene.admit(message_with(1, if_busy)).unwrap();
        assert_eq!(effects.wake, Some(job(1)), "if_busy is {if_busy:?}");
        assert_eq!(scene.timer_in_ms(1), PUBLISH_LIMIT_MS);
    }
}

#[test]
fn enqueue_puts_the_job_behind_the_live_jobs() {
    let mut scene = Scene::running(1);
    scene.admit(message_with(2, IfBusy::Enqueue)).unwrap();
    assert_eq!(scene.order(), [1, 2]);
}

#[test]
fn reject_refuses_the_job_while_another_job_is_live() {
    let mut scene = Scene::running(1);
    assert_eq!(
        scene.admit(message_with(2, IfBusy::Reject)),
        Err(Refused::Busy)
    );
    scene.finish(1, 1).unwrap();
    assert!(scene.admit(message_with(2, IfBusy::Reject)).is_ok());
}

#[test]
fn rollback_cancels_all_live_jobs_and_makes_the_new_job_the_head() {
    let mut scene = Scene::running(2);
    let effects = scene.admit(message_with(3, IfBusy::Rollback)).unwrap();
    let ended: Vec<_> = effects.ended.iter().map(|end| end.entry.job).collect();
    assert_eq!(
        ended,
        [job(1), job(2)],
        "the ended jobs are in the wrong order"
    );
    assert_eq!(effects.dropped_calls, [(process("a"), job(1))]);
    assert!(effects.keep_inputs.is_empty());
    assert_eq!(effects.wake, Some(job(3)));
    assert_eq!(scene.order(), [3]);
    assert_eq!(scene.ended_as(1), Some(Status::Cancelled));
    assert_eq!(scene.ended_as(2), Some(Status::Cancelled));
    assert_eq!(scene.timers.len(), 1);
    assert_eq!(scene.finish(1, 1), Err(Refused::Gone));
}

#[test]
fn interrupt_cancels_all_live_jobs_and_keeps_their_inputs_in_order() {
    let mut scene = Scene::running(2);
    let effects = scene.admit(message_with(3, IfBusy::Interrupt)).unwrap();
    assert_eq!(effects.keep_inputs, [job(1), job(2)]);
    assert_eq!(effects.ended.len(), 2);
    assert_eq!(scene.order(), [3]);
}

#[test]
fn rollback_and_interrupt_end_a_hold_with_and_without_waiting_jobs() {
    for if_busy in [IfBusy::Rollback, IfBusy::Interrupt] {
        for jobs in 1..=2 {
            let mut scene = Scene::running(jobs);
            scene.finish_with_hold(1, 1, 60_000).unwrap();
            let effects = scene.admit(message_with(3, if_busy)).unwrap();
            assert_eq!(effects.wake, Some(job(3)));
            assert_eq!(scene.state(3), &READY);
            assert_eq!(scene.lane.hold_until, None);
            assert_eq!(scene.claim(3, "a"), Ok(ClaimResult::Granted { fence: 1 }));
        }
    }
}

#[test]
fn rollback_and_interrupt_are_admitted_to_a_full_lane() {
    let mut scene = Scene::with_messages(LANE_MAX as u128);
    let next = LANE_MAX as u128 + 1;
    scene.admit(message_with(next, IfBusy::Rollback)).unwrap();
    assert_eq!(scene.order(), [next]);
}

#[test]
fn a_repeated_submit_does_not_cancel_the_live_jobs_again() {
    let mut scene = Scene::running(1);
    scene.admit(message_with(2, IfBusy::Rollback)).unwrap();
    scene.admit(message(3)).unwrap();
    let again = scene.admit(message_with(2, IfBusy::Rollback));
    assert_eq!(again, Err(Refused::Exists));
    assert_eq!(scene.order(), [2, 3]);
}
