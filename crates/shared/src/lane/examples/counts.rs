//! counts: the count to which each live job belongs.

use super::scene::{Scene, message, process, results};
use crate::{
    class::Class,
    lane::{Admit, ClassCounts, HeadState, LaneCounts},
};

/// Asserts the counts of a lane that has interactive jobs only.
fn assert_counts(scene: &Scene, expected: ClassCounts) {
    let counts = scene.counts();
    assert_eq!(counts.batch, ClassCounts::default());
    assert_eq!(counts.interactive, expected);
    assert_eq!(expected.live(), scene.lane.entries.len() as i64);
}

const NONE: ClassCounts = ClassCounts {
    ready: 0,
    in_flight: 0,
    behind_session: 0,
    retry_wait: 0,
    provider_wait: 0,
};
const READY: ClassCounts = ClassCounts { ready: 1, ..NONE };

#[test]
fn an_empty_lane_counts_nothing() {
    assert_eq!(Scene::new().counts(), LaneCounts::default());
}

#[test]
fn a_queued_head_counts_as_ready_and_the_other_jobs_as_behind_session() {
    let scene = Scene::with_messages(3);
    assert_counts(
        &scene,
        ClassCounts {
            behind_session: 2,
            ..READY
        },
    );
    let ready = HeadState::Ready(Class::Interactive);
    assert_eq!(scene.lane.head_state(), Some(ready));
}

#[test]
fn a_running_head_counts_as_in_flight() {
    let scene = Scene::running(3);
    assert_counts(
        &scene,
        ClassCounts {
            in_flight: 1,
            behind_session: 2,
            ..NONE
        },
    );
    let running = HeadState::Running(process("a"));
    assert_eq!(scene.lane.head_state(), Some(running));
}

#[test]
fn a_head_before_its_retry_counts_as_retry_wait_until_the_sweeper_wakes_it() {
    let mut scene = Scene::running(2);
    scene.retry(1, 1, 5_000).unwrap();
    assert_counts(
        &scene,
        ClassCounts {
            behind_session: 1,
            retry_wait: 1,
            ..NONE
        },
    );
    assert_eq!(scene.lane.head_state(), Some(HeadState::Waiting));
    scene.advance_clock(5_000);
    scene.tick(1).unwrap();
    assert_counts(
        &scene,
        ClassCounts {
            behind_session: 1,
            ..READY
        },
    );
}

#[test]
fn a_head_under_a_hold_counts_as_behind_session() {
    let mut scene = Scene::running(2);
    scene.finish_as(1, 1, None, Some(60_000)).unwrap();
    let waiting = ClassCounts {
        behind_session: 1,
        ..NONE
    };
    assert_counts(&scene, waiting);
    scene.admit(results(3)).unwrap();
    assert_counts(
        &scene,
        ClassCounts {
            ready: 1,
            ..waiting
        },
    );
}

#[test]
fn a_head_counts_as_ready_after_a_release_or_a_takeover() {
    let mut scene = Scene::running(1);
    scene.release(1, 1).unwrap();
    assert_counts(&scene, READY);
    scene.claim(1, "a").unwrap();
    scene.take_over(1).unwrap();
    assert_counts(&scene, READY);
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
