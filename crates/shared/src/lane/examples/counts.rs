//! How each state of a job counts.

use super::scene::{Scene, message, process, results};
use crate::{
    class::Class,
    lane::{Admit, ClassCounts, HeadState, LaneCounts},
};

fn interactive(scene: &Scene) -> (i64, i64, i64, i64) {
    let counts = scene.counts();
    assert_eq!(counts.batch, ClassCounts::default());
    let all = counts.interactive;
    assert_eq!(all.live(), scene.lane.entries.len() as i64);
    (all.ready, all.in_flight, all.behind_session, all.retry_wait)
}

#[test]
fn an_empty_lane_counts_nothing() {
    assert_eq!(Scene::new().counts(), LaneCounts::default());
}

#[test]
fn a_head_is_ready_and_the_rest_behind_it() {
    let scene = Scene::with_messages(3);
    assert_eq!(interactive(&scene), (1, 0, 2, 0));
    let ready = HeadState::Ready(Class::Interactive);
    assert_eq!(scene.lane.head_state(), Some(ready));
}

#[test]
fn a_running_head_is_in_flight() {
    let scene = Scene::running(3);
    assert_eq!(interactive(&scene), (0, 1, 2, 0));
    let running = HeadState::Running(process("a"));
    assert_eq!(scene.lane.head_state(), Some(running));
}

#[test]
fn a_head_before_its_retry_counts_as_retry_wait_until_the_sweeper_wakes_it() {
    let mut scene = Scene::running(2);
    scene.retry(1, 1, 5_000).unwrap();
    assert_eq!(interactive(&scene), (0, 0, 1, 1));
    assert_eq!(scene.lane.head_state(), Some(HeadState::Waiting));
    scene.advance_clock(5_000);
    scene.tick(1).unwrap();
    assert_eq!(interactive(&scene), (1, 0, 1, 0));
}

#[test]
fn a_head_under_a_hold_counts_as_behind_session() {
    let mut scene = Scene::running(2);
    scene.finish_as(1, 1, None, Some(60_000)).unwrap();
    assert_eq!(interactive(&scene), (0, 0, 1, 0));
    scene.admit(results(3)).unwrap();
    assert_eq!(interactive(&scene), (1, 0, 1, 0));
}

#[test]
fn a_released_or_taken_over_head_is_ready() {
    let mut scene = Scene::running(1);
    scene.release(1, 1).unwrap();
    assert_eq!(interactive(&scene), (1, 0, 0, 0));
    scene.claim(1, "a").unwrap();
    scene.take_over(1).unwrap();
    assert_eq!(interactive(&scene), (1, 0, 0, 0));
}

#[test]
fn each_job_counts_in_its_class_and_a_commit_adds_the_difference() {
    let mut scene = Scene::with_messages(1);
    let before = scene.counts();
    let batch = Admit {
        class: Class::Batch,
        ..message(2)
    };
    scene.admit(batch).unwrap();
    let added = scene.counts() - before;
    assert_eq!(added[Class::Interactive], ClassCounts::default());
    assert_eq!(added[Class::Batch].behind_session, 1);
    let before = scene.counts();
    scene.cancel(1).unwrap();
    let added = scene.counts() - before;
    assert_eq!(added[Class::Interactive].live(), -1);
    assert_eq!(added[Class::Batch].live(), 0);
    assert_eq!(added[Class::Batch].ready, 1);
}
