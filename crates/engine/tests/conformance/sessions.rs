//! Sessions: their turns, their bounds and their time to live.

use forebay_shared::{
    lane::{Event, IfBusy, ReleaseReason},
    session::StoredTurn,
    store::{HeadFilter, SessionRemoval, Store, TurnRange},
    time::TimeMs,
};

use crate::{
    harness::{Harness, wait_until_passed},
    test_lane::{LONG_MS, TestLane, texts, turns},
};

async fn turn_texts(lane: &TestLane) -> Vec<String> {
    texts(&lane.read_session(LONG_MS).await.unwrap().turns)
}

async fn wait_ms(store: &dyn Store, ms: u64) {
    wait_until_passed(store, store.now().plus_ms(ms)).await;
}

pub(crate) async fn keep_their_turns_in_order(engine: impl Harness) {
    let lane = TestLane::session(&engine.store(), "s");
    assert_eq!(lane.read_session(LONG_MS).await, None);
    let before = lane.store.now();
    let job = lane.admit().await;
    let created = lane.read_session(LONG_MS).await.unwrap();
    assert!(created.turns.is_empty());
    assert!(created.created_at >= before);
    assert_eq!((created.live_jobs, created.expires_at), (1, None));

    wait_ms(lane.store.as_ref(), 1).await;
    let fence = lane.claim(job, "worker-1").await;
    lane.finish(job, fence, &["a", "b"]).await;
    lane.complete(&["c"]).await;
    let read = lane.read_session(LONG_MS).await.unwrap();
    assert_eq!(texts(&read.turns), ["a", "b", "c"]);
    assert_eq!(read.live_jobs, 0);
    assert_eq!(read.created_at, created.created_at);
    assert!(read.updated_at > created.created_at);
    assert!(read.expires_at.unwrap() >= before.plus_ms(LONG_MS));
}

pub(crate) async fn are_not_changed_by_a_claim(engine: impl Harness) {
    let lane = TestLane::session(&engine.store(), "s");
    lane.complete(&["a"]).await;
    let job = lane.admit().await;
    let before = lane.read_session(LONG_MS).await.unwrap();
    wait_ms(lane.store.as_ref(), 1).await;
    let fence = lane.claim(job, "worker-1").await;
    assert_eq!(lane.read_session(LONG_MS).await.unwrap(), before);
    lane.apply(&Event::Release {
        job,
        fence,
        reason: ReleaseReason::WorkerStops,
    })
    .await;
    assert_eq!(lane.read_session(LONG_MS).await.unwrap(), before);
}

pub(crate) async fn are_trimmed_to_the_number_of_turns(engine: impl Harness) {
    let mut lane = TestLane::session(&engine.store(), "s");
    lane.bounds.turns_max = 3;
    lane.complete(&["a", "b"]).await;
    lane.complete(&["c", "d"]).await;
    assert_eq!(turn_texts(&lane).await, ["b", "c", "d"]);
    lane.complete(&["e", "f", "g", "h"]).await;
    assert_eq!(turn_texts(&lane).await, ["f", "g", "h"]);
    lane.bounds.turns_max = 2;
    lane.complete(&[]).await;
    assert_eq!(turn_texts(&lane).await, ["g", "h"]);
}

pub(crate) async fn are_trimmed_to_the_bytes_of_turns(engine: impl Harness) {
    let mut lane = TestLane::session(&engine.store(), "s");
    let turn_bytes = serde_json::to_string(&turns(&["0"])[0]).unwrap().len();
    lane.bounds.turns_bytes_max = 3 * turn_bytes;
    lane.complete(&["1", "2", "3"]).await;
    assert_eq!(turn_texts(&lane).await, ["1", "2", "3"]);
    lane.complete(&["4"]).await;
    assert_eq!(turn_texts(&lane).await, ["2", "3", "4"]);
    let long = "x".repeat(4 * turn_bytes);
    lane.complete(&[&long]).await;
    assert_eq!(
        turn_texts(&lane).await,
        [long],
        "the newest turn must stay, whatever its size"
    );
    lane.complete(&["5"]).await;
    assert_eq!(turn_texts(&lane).await, ["5"]);
}

pub(crate) async fn expire(engine: impl Harness) {
    let store = engine.store();
    let mut lane = TestLane::session(&store, "s");
    lane.bounds.ttl_ms = 60;
    let job = lane.admit().await;
    assert_eq!(store.counts().await.unwrap().sessions, 1);
    let fence = lane.claim(job, "worker-1").await;
    lane.finish(job, fence, &["a"]).await;
    wait_ms(store.as_ref(), lane.bounds.ttl_ms).await;
    assert_eq!(lane.read_session(LONG_MS).await, None);
    assert_eq!(store.counts().await.unwrap().sessions, 0);
    let session = lane.session.clone().unwrap();
    let removed = store.remove_session(&lane.tenant, &session).await;
    assert_eq!(removed.unwrap(), SessionRemoval::NotFound);
    while store.delete_expired(100).await.unwrap() > 0 {}
    assert_eq!(lane.read_session(LONG_MS).await, None);
}

pub(crate) async fn start_empty_after_they_expired(engine: impl Harness) {
    let store = engine.store();
    let mut lane = TestLane::session(&store, "s");
    lane.bounds.ttl_ms = 60;
    lane.complete(&["old"]).await;
    wait_ms(store.as_ref(), lane.bounds.ttl_ms).await;
    let expired_at = store.now();
    let job = lane.admit().await;
    let run_inputs = store
        .load(&lane.key(), &[], Some(job))
        .await
        .unwrap()
        .run_inputs;
    let run_inputs = run_inputs.unwrap().inline().unwrap();
    assert!(run_inputs.conversation.turns.is_empty());
    let fence = lane.claim(job, "worker-1").await;
    lane.bounds.ttl_ms = LONG_MS;
    lane.finish(job, fence, &["new"]).await;
    let read = lane.read_session(LONG_MS).await.unwrap();
    assert_eq!(texts(&read.turns), ["new"]);
    assert!(read.created_at >= expired_at);
}

pub(crate) async fn expire_later_after_a_read(engine: impl Harness) {
    let store = engine.store();
    let mut lane = TestLane::session(&store, "s");
    lane.bounds.ttl_ms = LONG_MS;
    lane.complete(&["a"]).await;
    let first = lane
        .read_session(LONG_MS)
        .await
        .unwrap()
        .expires_at
        .unwrap();
    wait_ms(store.as_ref(), 1).await;
    let later = lane
        .read_session(LONG_MS)
        .await
        .unwrap()
        .expires_at
        .unwrap();
    assert!(later > first);
    // The time to live is an argument of the read, and it starts at the read.
    let short = lane.read_session(60).await.unwrap().expires_at.unwrap();
    assert!(short <= store.now().plus_ms(60));
    wait_until_passed(store.as_ref(), short).await;
    assert_eq!(lane.read_session(LONG_MS).await, None);
}

pub(crate) async fn with_live_jobs_never_expire(engine: impl Harness) {
    let store = engine.store();
    let mut lane = TestLane::session(&store, "s");
    lane.bounds.ttl_ms = 30;
    let job = lane.admit().await;
    wait_ms(store.as_ref(), 2 * lane.bounds.ttl_ms).await;
    store.delete_expired(100).await.unwrap();
    let read = lane.read_session(30).await.unwrap();
    assert_eq!((read.live_jobs, read.expires_at), (1, None));

    lane.bounds.ttl_ms = LONG_MS;
    let fence = lane.claim(job, "worker-1").await;
    let ended_after = store.now();
    lane.finish(job, fence, &["kept"]).await;
    assert_eq!(turn_texts(&lane).await, ["kept"]);
    let expires_at = lane
        .read_session(LONG_MS)
        .await
        .unwrap()
        .expires_at
        .unwrap();
    assert!(expires_at >= ended_after.plus_ms(LONG_MS));
}

pub(crate) async fn are_evicted_by_last_use(engine: impl Harness) {
    let store = engine.store();
    let names = ["first", "second", "third", "fourth", "live"];
    let lanes = names.map(|name| TestLane::session(&store, name));
    let [first, second, third, fourth, live] = &lanes;
    live.admit().await;
    for lane in [first, second, third, fourth] {
        wait_ms(store.as_ref(), 1).await;
        lane.complete(&["x"]).await;
    }
    assert_eq!(store.evict_sessions(5, 100).await.unwrap(), 0);
    // A read is a use. So `second` is now the least recently used session without live jobs.
    wait_ms(store.as_ref(), 1).await;
    first.read_session(LONG_MS).await.unwrap();
    assert_eq!(store.evict_sessions(4, 100).await.unwrap(), 1);
    assert_eq!(store.counts().await.unwrap().sessions, 4);
    assert_eq!(second.read_session(LONG_MS).await, None);

    // An eviction removes at most as many sessions as its second argument.
    assert_eq!(store.evict_sessions(2, 1).await.unwrap(), 1);
    assert_eq!(third.read_session(LONG_MS).await, None);
    // The session with a live job stays, although it is the least recently used session and none may remain.
    assert_eq!(store.evict_sessions(0, 100).await.unwrap(), 2);
    assert_eq!(first.read_session(LONG_MS).await, None);
    assert_eq!(fourth.read_session(LONG_MS).await, None);
    assert!(live.read_session(LONG_MS).await.is_some());
}

pub(crate) async fn are_removed_when_idle(engine: impl Harness) {
    let store = engine.store();
    let lane = TestLane::session(&store, "s");
    let session = lane.session.clone().unwrap();
    let remove = || store.remove_session(&lane.tenant, &session);
    assert_eq!(remove().await.unwrap(), SessionRemoval::NotFound);
    let job = lane.admit().await;
    assert_eq!(remove().await.unwrap(), SessionRemoval::HasLiveJobs);
    let fence = lane.claim(job, "worker-1").await;
    assert_eq!(remove().await.unwrap(), SessionRemoval::HasLiveJobs);
    lane.finish(job, fence, &["a"]).await;
    assert_eq!(remove().await.unwrap(), SessionRemoval::Removed);
    assert_eq!(lane.read_session(LONG_MS).await, None);
    assert_eq!(remove().await.unwrap(), SessionRemoval::NotFound);
    // The records of the session's jobs stay.
    assert!(store.job(&lane.tenant, job).await.unwrap().is_some());
    lane.complete(&["b"]).await;
    assert_eq!(turn_texts(&lane).await, ["b"]);
}

pub(crate) async fn are_removed_with_the_hold_of_their_lane(engine: impl Harness) {
    let store = engine.store();
    let lane = TestLane::session(&store, "s");
    let session = lane.session.clone().unwrap();
    let job = lane.admit().await;
    let fence = lane.claim(job, "worker-1").await;
    lane.apply(&TestLane::finish_event(job, fence, Some(LONG_MS)))
        .await;
    let with_hold = lane.load(&[]).await;
    assert!(with_hold.lane.hold_until.is_some());
    assert!(
        with_hold.version.is_some(),
        "the lane has a hold but no document"
    );

    // A lane with only a hold has no live jobs.
    let read = lane.read_session(LONG_MS).await.unwrap();
    assert_eq!(read.live_jobs, 0);
    assert!(read.expires_at.is_some());
    let removed = store.remove_session(&lane.tenant, &session).await;
    assert_eq!(removed.unwrap(), SessionRemoval::Removed);
    let after_removal = lane.load(&[]).await;
    assert!(after_removal.lane.is_empty());
    assert_eq!(after_removal.version, None);
    let mut admission = lane.admission(lane.new_job_id());
    admission.if_busy = IfBusy::Reject;
    lane.apply(&Event::Admit(admission)).await;
}

pub(crate) async fn have_ids_of_any_text(engine: impl Harness) {
    let store = engine.store();
    let longest = "é".repeat(100);
    let ids = [
        "a/b",
        "/",
        "s/default/x",
        "ada+x@example.com",
        "ünï",
        "a b",
        " ",
        "...",
        "{16}|i;c:\\\"'%_*?[]",
        "\u{1f980}\u{feff}\u{2028}",
        &longest,
    ];
    for id in ids {
        let lane = TestLane::session(&store, id);
        assert_eq!(lane.read_session(LONG_MS).await, None, "{id:?}");
        let job = lane.admit().await;
        let timers = store.due_timers(TimeMs(u64::MAX), 1_000).await.unwrap();
        assert!(
            timers.iter().any(|timer| timer.lane == lane.key()),
            "{id:?}"
        );
        let ready = HeadFilter::Ready(lane.class);
        let heads = store.heads(ready, None, 1_000).await.unwrap().heads;
        assert!(heads.iter().any(|head| head.lane == lane.key()), "{id:?}");
        let fence = lane.claim(job, "worker-1").await;
        let heads = store
            .heads(HeadFilter::Running, None, 1_000)
            .await
            .unwrap()
            .heads;
        assert!(heads.iter().any(|head| head.lane == lane.key()), "{id:?}");
        lane.finish(job, fence, &[id]).await;
        let record = store.job(&lane.tenant, job).await.unwrap().unwrap();
        assert_eq!(record.meta.session, lane.session, "{id:?}");
    }
    for id in ids {
        let lane = TestLane::session(&store, id);
        assert_eq!(turn_texts(&lane).await, [id]);
        let session = lane.session.as_ref().expect("the lane has a session");
        let removal = store.remove_session(&lane.tenant, session).await;
        assert_eq!(removal.unwrap(), SessionRemoval::Removed, "{id:?}");
        assert_eq!(lane.read_session(LONG_MS).await, None, "{id:?}");
    }
}

pub(crate) async fn are_read_in_pages_while_turns_are_dropped(engine: impl Harness) {
    let mut lane = TestLane::session(&engine.store(), "s");
    lane.bounds.turns_max = 4;
    lane.complete(&["a", "b", "c", "d"]).await;
    let session = lane.session.clone().unwrap();
    let page = async |from: u64, turns_max: usize, bytes_max: u64| {
        let range = TurnRange {
            from,
            turns_max,
            bytes_max,
        };
        let read = lane.store.session_turns(&lane.tenant, &session, range);
        let numbered = |turn: StoredTurn| {
            let parsed = [turn.parse().unwrap()];
            (turn.number, texts(&parsed).remove(0))
        };
        let turns = read.await.unwrap().into_iter().map(numbered);
        turns.collect::<Vec<_>>()
    };
    let turn = |number, text: &str| (number, text.to_owned());
    assert_eq!(page(0, 2, 1_000_000).await, [turn(0, "a"), turn(1, "b")]);
    // A page has at least one turn, and at most the bytes that the caller asks for.
    assert_eq!(page(1, 9, 1).await, [turn(1, "b")]);
    let two = 2 * turns(&["b"])[0].json_bytes() as u64;
    assert_eq!(page(1, 9, two).await, [turn(1, "b"), turn(2, "c")]);
    // Two new turns make the session drop the oldest two. The others keep their numbers.
    lane.complete(&["e", "f"]).await;
    assert_eq!(page(1, 2, 1_000_000).await, [turn(2, "c"), turn(3, "d")]);
    assert_eq!(page(4, 9, 1_000_000).await, [turn(4, "e"), turn(5, "f")]);
    assert_eq!(page(6, 9, 1_000_000).await, []);
    let info = lane
        .store
        .session_info(&lane.tenant, &session, LONG_MS)
        .await;
    let info = info.unwrap().unwrap();
    assert_eq!((info.turn_count, info.turns_bytes), (4, 2 * two));
    assert_eq!(info.first_turn, 2);
    let numbers = info.turns.unwrap().into_iter().map(|turn| turn.number);
    assert_eq!(numbers.collect::<Vec<_>>(), [2, 3, 4, 5]);
}
