//! `presence`: nobody is judged by a process that has not been present itself without a gap.

use std::{collections::BTreeSet, time::Duration};

use forebay_runtime::presence::Presence;
use forebay_shared::ids::ProcessId;
use tokio::time::Instant;

use crate::{
    fickle::{Fault, Mode, Op},
    scene::{PRESENCE_MS, Scene, pass_ms, process},
};

/// Begins to announce `me`.
fn begin(scene: &Scene) -> Presence {
    let (presence, run) = Presence::new(scene.store.clone(), process("me"), PRESENCE_MS);
    tokio::spawn(run.run());
    presence
}

fn alive(presence: &Presence) -> Option<BTreeSet<ProcessId>> {
    presence
        .live_processes()
        .map(|view| BTreeSet::clone(&view.alive))
}

fn names<const N: usize>(names: [&str; N]) -> Option<BTreeSet<ProcessId>> {
    Some(names.into_iter().map(process).collect())
}

#[tokio::test(start_paused = true)]
async fn there_is_no_verdict_until_one_presence_time_has_passed() {
    let scene = Scene::new();
    let presence = begin(&scene);
    assert!(!presence.is_current());
    pass_ms(2_900).await;
    assert!(presence.is_current());
    assert_eq!(alive(&presence), None);
    pass_ms(200).await;
    assert_eq!(alive(&presence), names(["me"]));
}

#[tokio::test(start_paused = true)]
async fn others_are_seen_and_missed() {
    let scene = Scene::new();
    let presence = begin(&scene);
    pass_ms(3_500).await;
    scene.announce("other").await;
    pass_ms(1_000).await;
    assert_eq!(alive(&presence), names(["me", "other"]));
    // Its announcement, at 3.5 s, is too old at the renewal at 7 s.
    pass_ms(2_000).await;
    assert_eq!(alive(&presence), names(["me", "other"]));
    pass_ms(1_000).await;
    assert_eq!(alive(&presence), names(["me"]));
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_fails_once_is_no_gap() {
    let scene = Scene::new();
    let presence = begin(&scene);
    pass_ms(4_500).await;
    scene.store.script(Op::Announce, [Fault::Broken]);
    for _ in 0..50 {
        pass_ms(100).await;
        assert!(presence.is_current());
        assert!(presence.live_processes().is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_gap_the_verdict_is_withheld_for_one_presence_time() {
    for mode in [Mode::Away, Mode::Hanging] {
        let scene = Scene::new();
        let presence = begin(&scene);
        pass_ms(4_500).await;
        scene.store.set(mode);
        pass_ms(2_000).await;
        assert!(presence.is_current() && presence.live_processes().is_some());
        pass_ms(1_000).await;
        assert!(!presence.is_current(), "{mode:?}");
        assert_eq!(alive(&presence), None);
        pass_ms(5_000).await;
        scene.store.set(Mode::Fine);
        let back = Instant::now();
        while presence.live_processes().is_none() {
            pass_ms(10).await;
        }
        let withheld = back.elapsed().as_millis();
        assert!(presence.is_current());
        // A renewal that was under way when the store came back may count from when it was asked for.
        let at_least = if mode == Mode::Away { 3_000 } else { 1 };
        assert!(
            (at_least..=5_000).contains(&withheld),
            "{mode:?}: {withheld} ms"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_known_is_as_old_as_the_question() {
    let scene = Scene::new();
    // The first answer takes 2 s. It says nothing of what happened meanwhile.
    let slow = Fault::Meanwhile(Box::pin(pass_ms(2_000)));
    let silent = Fault::Meanwhile(Box::pin(std::future::pending()));
    scene.store.script(Op::Announce, [slow, silent]);
    let mut presence = begin(&scene);
    presence.announced().await;
    pass_ms(900).await;
    assert!(presence.is_current());
    pass_ms(150).await;
    assert!(!presence.is_current());
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_the_first_announcement_waits_for_the_store() {
    let scene = Scene::new();
    scene.store.set(Mode::Away);
    let mut presence = begin(&scene);
    let early = tokio::time::timeout(Duration::from_secs(5), presence.announced()).await;
    assert!(early.is_err());
    scene.store.set(Mode::Fine);
    let soon = tokio::time::timeout(Duration::from_millis(1_100), presence.announced()).await;
    assert!(soon.is_ok());
    assert!(presence.is_current());
}

#[tokio::test(start_paused = true)]
async fn it_is_renewed_every_second_or_more_often_if_it_lapses_soon() {
    let scene = Scene::new();
    let _presence = begin(&scene);
    pass_ms(10_500).await;
    assert_eq!(scene.store.calls(Op::Announce), 11);
    let scene = Scene::new();
    let (_presence, run) = Presence::new(scene.store.clone(), process("me"), 300);
    tokio::spawn(run.run());
    pass_ms(950).await;
    assert_eq!(scene.store.calls(Op::Announce), 10);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stalls_makes_nobody_look_gone() {
    let scene = Scene::new();
    let presence = begin(&scene);
    pass_ms(400).await;
    let (_other, run) = Presence::new(scene.store.clone(), process("other"), PRESENCE_MS);
    tokio::spawn(run.run());
    pass_ms(4_100).await;
    assert_eq!(alive(&presence), names(["me", "other"]));
    // The renewals of both, asked for at 5 s and at 5.4 s, are answered at 7.9 s, one after the other.
    scene.store.set(Mode::Hanging);
    pass_ms(3_400).await;
    scene.store.set(Mode::Fine);
    for _ in 0..10_000 {
        tokio::task::yield_now().await;
        let seen = alive(&presence);
        assert!(seen.is_none() || seen == names(["me", "other"]), "{seen:?}");
        if scene.store.calls(Op::Announce) > 14 {
            return;
        }
    }
}
