//! Tests of the loop `presence`: after a gap in its own renewals, a process withholds its list of the live processes.

use faulty_store::{Fault, StoreCall, StoreMode};
use std::{collections::BTreeSet, time::Duration};

use forebay_runtime::presence::Presence;
use forebay_shared::ids::ProcessId;
use tokio::time::Instant;

use crate::scene::{PRESENCE_TTL_MS, Scene, pass_ms, process};

/// Starts the loop that renews the presence of the process `me`.
fn start_presence(scene: &Scene) -> Presence {
    let (presence, presence_loop) =
        Presence::new(scene.store.clone(), process("me"), PRESENCE_TTL_MS);
    tokio::spawn(presence_loop.run());
    presence
}

fn alive(presence: &Presence) -> Option<BTreeSet<ProcessId>> {
    presence
        .live_processes()
        .map(|view| BTreeSet::clone(&view.alive))
}

fn processes<const N: usize>(names: [&str; N]) -> Option<BTreeSet<ProcessId>> {
    Some(names.into_iter().map(process).collect())
}

#[tokio::test(start_paused = true)]
async fn the_list_is_withheld_until_one_presence_ttl_has_passed() {
    let scene = Scene::new();
    let presence = start_presence(&scene);
    assert!(!presence.is_current());
    pass_ms(2_900).await;
    assert!(presence.is_current());
    assert_eq!(alive(&presence), None);
    pass_ms(200).await;
    assert_eq!(alive(&presence), processes(["me"]));
}

#[tokio::test(start_paused = true)]
async fn other_processes_are_listed_while_they_renew_their_presence() {
    let scene = Scene::new();
    let presence = start_presence(&scene);
    pass_ms(3_500).await;
    scene.renew_presence_of("other").await;
    pass_ms(1_000).await;
    assert_eq!(alive(&presence), processes(["me", "other"]));
    // `other` renewed its presence at 3.5 s. This presence is too old when `me` renews its own at 7 s.
    pass_ms(2_000).await;
    assert_eq!(alive(&presence), processes(["me", "other"]));
    pass_ms(1_000).await;
    assert_eq!(alive(&presence), processes(["me"]));
}

#[tokio::test(start_paused = true)]
async fn one_failed_renewal_does_not_count_as_a_gap() {
    let scene = Scene::new();
    let presence = start_presence(&scene);
    pass_ms(4_500).await;
    scene.store.plan(StoreCall::RenewPresence, [Fault::Broken]);
    for _ in 0..50 {
        pass_ms(100).await;
        assert!(presence.is_current());
        assert!(presence.live_processes().is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_gap_the_list_is_withheld_for_one_presence_ttl() {
    for mode in [StoreMode::Down, StoreMode::Hanging] {
        let scene = Scene::new();
        let presence = start_presence(&scene);
        pass_ms(4_500).await;
        scene.store.set_mode(mode);
        pass_ms(2_000).await;
        assert!(presence.is_current() && presence.live_processes().is_some());
        pass_ms(1_000).await;
        assert!(!presence.is_current(), "mode {mode:?}");
        assert_eq!(alive(&presence), None);
        pass_ms(5_000).await;
        scene.store.set_mode(StoreMode::Up);
        let recovered_at = Instant::now();
        while presence.live_processes().is_none() {
            pass_ms(10).await;
        }
        let withheld = recovered_at.elapsed().as_millis();
        assert!(presence.is_current());
        // The gap ends with the first response after the outage. Then the list is withheld for one presence TTL.
        assert!(
            (3_000..=5_000).contains(&withheld),
            "{mode:?}: {withheld} ms"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_renewal_counts_from_when_it_was_sent() {
    let scene = Scene::new();
    // The first response takes 2 s. The presence TTL begins when the renewal is sent, not when it is confirmed.
    let slow = Fault::After(Box::pin(pass_ms(2_000)));
    let silent = Fault::After(Box::pin(std::future::pending()));
    scene.store.plan(StoreCall::RenewPresence, [slow, silent]);
    let mut presence = start_presence(&scene);
    presence.renewed_once().await;
    pass_ms(900).await;
    assert!(presence.is_current());
    pass_ms(150).await;
    assert!(!presence.is_current());
}

#[tokio::test(start_paused = true)]
async fn the_first_renewal_waits_for_the_store() {
    let scene = Scene::new();
    scene.store.set_mode(StoreMode::Down);
    let mut presence = start_presence(&scene);
    let early = tokio::time::timeout(Duration::from_secs(5), presence.renewed_once()).await;
    assert!(early.is_err());
    scene.store.set_mode(StoreMode::Up);
    let soon = tokio::time::timeout(Duration::from_millis(1_100), presence.renewed_once()).await;
    assert!(soon.is_ok());
    assert!(presence.is_current());
}

#[tokio::test(start_paused = true)]
async fn the_presence_is_renewed_every_second_or_more_often_if_its_ttl_is_short() {
    let scene = Scene::new();
    let _presence = start_presence(&scene);
    pass_ms(10_500).await;
    assert_eq!(scene.store.call_count(StoreCall::RenewPresence), 11);
    let scene = Scene::new();
    let (_presence, presence_loop) = Presence::new(scene.store.clone(), process("me"), 300);
    tokio::spawn(presence_loop.run());
    pass_ms(950).await;
    assert_eq!(scene.store.call_count(StoreCall::RenewPresence), 10);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_stalls_makes_no_process_look_gone() {
    let scene = Scene::new();
    let presence = start_presence(&scene);
    pass_ms(400).await;
    let (_other, presence_loop) =
        Presence::new(scene.store.clone(), process("other"), PRESENCE_TTL_MS);
    tokio::spawn(presence_loop.run());
    pass_ms(4_100).await;
    assert_eq!(alive(&presence), processes(["me", "other"]));
    // The renewals of both, sent at 5 s and at 5.4 s, get their responses at 7.9 s, one after the other. Then each
    // process sends its next renewal at once.
    scene.store.set_mode(StoreMode::Hanging);
    pass_ms(3_400).await;
    scene.store.set_mode(StoreMode::Up);
    for _ in 0..10_000 {
        tokio::task::yield_now().await;
        let listed = alive(&presence);
        assert!(
            listed.is_none() || listed == processes(["me", "other"]),
            "alive: {listed:?}"
        );
        if scene.store.call_count(StoreCall::RenewPresence) == 14 {
            return;
        }
    }
    panic!("the processes sent no renewal after the stall");
}
