//! counts: the count to which each live job belongs, and the jobs behind deferred heads.

use super::scene::{Scene, account, job, message, process, results};
use crate::{
    class::Class,
    lane::{Admit, ClassCounts, HeadState, LaneCounts},
    store::DeferredChange,
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
    scene.finish_with_hold(1, 1, 60_000).unwrap();
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

/// What the steps change in the index of deferred heads: the jobs that leave and enter it, and the changes of the numbers of
/// jobs behind them.
fn deferred_change(
    scene: &mut Scene,
    steps: impl FnOnce(&mut Scene),
) -> (Option<u128>, Option<u128>, Vec<i64>) {
    let before = scene.lane.clone();
    steps(scene);
    let change = DeferredChange::between(&before, &scene.lane);
    let number = |id| (1..10).find(|number| job(*number) == id);
    let behind = change.behind.iter().inspect(|change| {
        let of_head = (&change.account, change.class);
        assert_eq!(of_head, (&account(), Class::Interactive));
    });
    (
        change.remove.and_then(|entry| number(entry.job)),
        change.add.and_then(|entry| number(entry.job)),
        behind.map(|change| change.jobs).collect(),
    )
}

#[test]
fn the_jobs_behind_a_deferred_head_are_counted_with_it() {
    let mut scene = Scene::with_messages(3);
    let deferred = deferred_change(&mut scene, |scene| drop(scene.defer(1).unwrap()));
    assert_eq!(deferred, (None, Some(1), vec![2]));
    let appended = deferred_change(&mut scene, |scene| {
        let batch = Admit {
            class: Class::Batch,
            ..message(4)
        };
        scene.admit(batch).unwrap();
    });
    assert_eq!(appended, (None, None, vec![1]));
    let cancelled = deferred_change(&mut scene, |scene| drop(scene.cancel(2).unwrap()));
    assert_eq!(cancelled, (None, None, vec![-1]));
    let repeated = deferred_change(&mut scene, |scene| drop(scene.defer(1).unwrap()));
    assert_eq!(repeated, (None, None, vec![]));
    let resumed = deferred_change(&mut scene, |scene| drop(scene.resume(1).unwrap()));
    assert_eq!(resumed, (Some(1), None, vec![-2]));
    let not_deferred = deferred_change(&mut scene, |scene| drop(scene.admit(message(5)).unwrap()));
    assert_eq!(not_deferred, (None, None, vec![]));
}

#[test]
fn a_change_of_the_deferred_head_replaces_the_count_of_jobs_behind_it() {
    let mut scene = Scene::with_messages(3);
    scene.defer(1).unwrap();
    let next = deferred_change(&mut scene, |scene| {
        scene.cancel(1).unwrap();
        scene.defer(2).unwrap();
    });
    assert_eq!(next, (Some(1), Some(2), vec![-2, 1]));
    let displaced = deferred_change(&mut scene, |scene| drop(scene.admit(results(4)).unwrap()));
    assert_eq!(displaced, (Some(2), None, vec![-1]));
}
