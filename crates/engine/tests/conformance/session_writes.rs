//! What clients write in sessions: whole sessions and settings.

use std::sync::Arc;

use forebay_shared::{
    ids::TenantId,
    job::ContextBounds,
    session::SessionInfo,
    session_settings::{SessionDefaults, SessionSettings, StoredSettings},
    store::{
        INLINE_BYTES_MAX, LoadedRunInputs, SessionPut, SessionPutResult, SessionWriteId,
        SettingsSwap, SettingsSwapResult,
    },
};
use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    harness::{Harness, wait_until_passed},
    test_lane::{LONG_MS, TestLane, texts, turns},
};

/// Settings that differ by this number.
fn settings(number: u64) -> StoredSettings {
    let mut settings = SessionSettings {
        model: Some(format!("model-{number}")),
        defaults: SessionDefaults {
            instructions: Some(String::from("Be brief.")),
            context: ContextBounds {
                max_turns: Some(7),
                ..ContextBounds::default()
            },
            ..SessionDefaults::default()
        },
        ..SessionSettings::default()
    };
    let values = &mut settings.attributes.values;
    values.insert(String::from("number"), json!(number));
    StoredSettings::of(&settings).unwrap()
}

fn put(lane: &TestLane, texts: &[&str]) -> SessionPut {
    let turns = turns(texts);
    let turns = turns
        .iter()
        .map(|turn| serde_json::to_string(turn).unwrap());
    SessionPut {
        tenant: lane.tenant.clone(),
        session: lane.session.clone().expect("the lane has a session"),
        id: SessionWriteId::new_v4(),
        turns: turns.collect(),
        settings: StoredSettings::default(),
        only_create: false,
        ttl_ms: LONG_MS,
    }
}

async fn write(lane: &TestLane, put: SessionPut) -> SessionPutResult {
    lane.store.put_session(Arc::new(put)).await.unwrap()
}

async fn info(lane: &TestLane) -> SessionInfo {
    let session = lane.session.as_ref().unwrap();
    let info = lane.store.session_info(&lane.tenant, session, LONG_MS);
    info.await.unwrap().expect("the session exists")
}

/// The numbers and the texts of the turns.
fn numbered(info: &SessionInfo) -> Vec<(u64, String)> {
    let stored = info.turns.as_ref().expect("the turns are small");
    let numbered = stored
        .iter()
        .map(|turn| (turn.number, texts(&[turn.parse().unwrap()]).remove(0)));
    numbered.collect()
}

#[track_caller]
fn created(result: SessionPutResult) -> SessionInfo {
    match result {
        SessionPutResult::Created(info) => info,
        result => panic!("the session should be created: {result:?}"),
    }
}

#[track_caller]
fn replaced(result: SessionPutResult) -> SessionInfo {
    match result {
        SessionPutResult::Replaced(info) => info,
        result => panic!("the session should be replaced: {result:?}"),
    }
}

pub(crate) async fn create_sessions_that_jobs_continue(engine: impl Harness) {
    let lane = TestLane::session(&engine.store(), "s");
    let before = lane.store.now();
    let mut first = put(&lane, &["a", "b"]);
    first.settings = settings(1);
    let written = created(write(&lane, first).await);
    assert!(written.created_at >= before && written.updated_at == written.created_at);
    assert!(written.expires_at.unwrap() >= before.plus_ms(LONG_MS));
    assert_eq!(
        (written.turn_count, written.first_turn, written.live_jobs),
        (2, 0, 0)
    );
    let read = info(&lane).await;
    assert_eq!(read.turns_bytes, written.turns_bytes);
    assert_eq!(read.created_at, written.created_at);
    assert_eq!(read.settings, Some(settings(1)));
    assert_eq!(lane.store.counts().await.unwrap().sessions, 1);

    // A job gets the turns and the defaults, and its commits keep the settings.
    let job = lane.admit().await;
    let loaded = lane.store.load(&lane.key(), &[], Some(job)).await.unwrap();
    let inline = loaded.run_inputs.unwrap().inline().unwrap();
    let whole = lane.store.run_inputs(&lane.key(), job).await.unwrap();
    for run_inputs in [*inline, whole.expect("the job is live")] {
        let conversation = run_inputs.conversation;
        assert_eq!(texts(&conversation.turns), ["a", "b"]);
        assert_eq!(conversation.defaults, settings(1).parse().unwrap().defaults);
    }
    let fence = lane.claim(job, "worker-1").await;
    lane.finish(job, fence, &["c"]).await;
    let read = info(&lane).await;
    let turn = |number, text: &str| (number, text.to_owned());
    assert_eq!(numbered(&read), [turn(0, "a"), turn(1, "b"), turn(2, "c")]);
    assert_eq!(read.settings, Some(settings(1)));
}

pub(crate) async fn replace_sessions_as_a_whole(engine: impl Harness) {
    let mut lane = TestLane::session(&engine.store(), "s");
    lane.token_measure = Some(forebay_shared::session::TokenMeasure {
        sent_bytes: 9,
        input_tokens: 3,
    });
    lane.complete(&["a", "b", "c"]).await;
    lane.token_measure = None;
    lane.bounds.turns_max = 2;
    lane.complete(&[]).await;
    let before = info(&lane).await;
    let mut change = put(&lane, &["x"]);
    change.settings = settings(1);
    let written = replaced(write(&lane, change).await);
    assert_eq!(written.created_at, before.created_at);
    // The numbers 0 to 2 were used.
    assert_eq!((written.turn_count, written.first_turn), (1, 3));
    assert_eq!(numbered(&info(&lane).await), [(3, String::from("x"))]);

    let written = replaced(write(&lane, put(&lane, &[])).await);
    assert_eq!((written.turn_count, written.first_turn), (0, 4));
    let read = info(&lane).await;
    assert_eq!(numbered(&read), []);
    assert_eq!(read.settings, Some(StoredSettings::default()));
    // Neither replaced turns nor their token measure are left.
    let job = lane.admit().await;
    let run_inputs = lane.store.run_inputs(&lane.key(), job).await.unwrap();
    let run_inputs = run_inputs.expect("the job is live");
    assert_eq!(
        run_inputs.conversation,
        forebay_shared::session::Conversation::default()
    );
    let fence = lane.claim(job, "worker-1").await;
    lane.finish(job, fence, &["y", "z"]).await;
    let turn = |number, text: &str| (number, text.to_owned());
    assert_eq!(numbered(&info(&lane).await), [turn(4, "y"), turn(5, "z")]);
}

pub(crate) async fn wait_for_the_end_of_live_jobs(engine: impl Harness) {
    let lane = TestLane::session(&engine.store(), "s");
    let job = lane.admit().await;
    let busy = put(&lane, &["x"]);
    assert_eq!(
        write(&lane, busy.clone()).await,
        SessionPutResult::HasLiveJobs
    );
    let mut only_create = put(&lane, &["x"]);
    only_create.only_create = true;
    assert_eq!(write(&lane, only_create).await, SessionPutResult::Exists);
    let fence = lane.claim(job, "worker-1").await;
    assert_eq!(
        write(&lane, busy.clone()).await,
        SessionPutResult::HasLiveJobs
    );
    lane.finish(job, fence, &["a"]).await;
    assert_eq!(numbered(&info(&lane).await), [(0, String::from("a"))]);
    replaced(write(&lane, busy).await);
    assert_eq!(numbered(&info(&lane).await), [(1, String::from("x"))]);
}

pub(crate) async fn remove_the_hold_of_the_lane(engine: impl Harness) {
    let lane = TestLane::session(&engine.store(), "s");
    let job = lane.admit().await;
    let fence = lane.claim(job, "worker-1").await;
    lane.apply(&TestLane::finish_event(job, fence, Some(LONG_MS)))
        .await;
    let with_hold = lane.load(&[]).await;
    assert!(with_hold.lane.hold_until.is_some());
    replaced(write(&lane, put(&lane, &["x"])).await);
    let written = lane.load(&[]).await;
    assert!(written.lane.is_empty() && written.version.is_none());
    lane.complete(&["y"]).await;
    let turn = |number, text: &str| (number, text.to_owned());
    assert_eq!(numbered(&info(&lane).await), [turn(0, "x"), turn(1, "y")]);
}

pub(crate) async fn start_the_time_to_live(engine: impl Harness) {
    let store = engine.store();
    let lane = TestLane::session(&store, "s");
    let mut short = put(&lane, &["old"]);
    short.ttl_ms = 60;
    short.settings = settings(1);
    let expires_at = created(write(&lane, short).await).expires_at.unwrap();
    wait_until_passed(store.as_ref(), expires_at).await;
    let session = lane.session.as_ref().unwrap();
    let found = store.session_settings(&lane.tenant, session).await;
    assert_eq!(found.unwrap(), None);
    let found = store.session_model(&lane.tenant, session).await;
    assert_eq!(found.unwrap(), None);
    let unchanged = swap(&lane, settings(1), settings(2)).await;
    assert_eq!(unchanged, SettingsSwapResult::NotFound);
    // An expired session does not exist, so it is created, also by a call that only creates.
    let mut only_create = put(&lane, &["new"]);
    only_create.only_create = true;
    created(write(&lane, only_create).await);
    let read = info(&lane).await;
    assert_eq!(numbered(&read), [(0, String::from("new"))]);
    assert_eq!(read.settings, Some(StoredSettings::default()));
    assert!(read.created_at >= expires_at);
    while store.delete_expired(100).await.unwrap() > 0 {}
    assert_eq!(info(&lane).await.turn_count, 1);
}

pub(crate) async fn have_one_result_when_they_are_repeated(engine: impl Harness) {
    let lane = TestLane::session(&engine.store(), "s");
    let mut first = put(&lane, &["a"]);
    first.only_create = true;
    let written = write(&lane, first.clone()).await;
    assert_eq!(write(&lane, first.clone()).await, written);
    created(written);
    let second = put(&lane, &["b"]);
    replaced(write(&lane, second.clone()).await);
    let job = lane.admit().await;
    replaced(write(&lane, second).await);
    let fence = lane.claim(job, "worker-1").await;
    lane.finish(job, fence, &[]).await;
    assert_eq!(numbered(&info(&lane).await), [(1, String::from("b"))]);
    // Another write came in between, so the store does not know the first one any more.
    assert_eq!(write(&lane, first).await, SessionPutResult::Exists);
}

pub(crate) async fn create_a_session_once(engine: impl Harness) {
    let lane = TestLane::session(&engine.store(), "s");
    let mut writes = JoinSet::new();
    for number in 0..16 {
        let lane = lane.clone();
        let mut only_create = put(&lane, &[&number.to_string()]);
        only_create.only_create = true;
        writes.spawn(async move { (number, write(&lane, only_create).await) });
    }
    let results = writes.join_all().await;
    let is_created = |result: &SessionPutResult| matches!(result, SessionPutResult::Created(_));
    let winners = results.iter().filter(|(_, result)| is_created(result));
    let winners: Vec<i32> = winners.map(|(number, _)| *number).collect();
    let [winner] = winners[..] else {
        panic!("one write should create the session, not {winners:?}");
    };
    let lost = results.iter().filter(|(_, result)| !is_created(result));
    for (_, result) in lost {
        assert_eq!(*result, SessionPutResult::Exists);
    }
    assert_eq!(numbered(&info(&lane).await), [(0, winner.to_string())]);
}

pub(crate) async fn are_separate_by_tenant(engine: impl Harness) {
    let store = engine.store();
    let own = TestLane::session(&store, "s");
    let other = TestLane::of_tenant(&store, TenantId::parse("other").unwrap(), Some("s"));
    let mut change = put(&own, &["own"]);
    change.settings = settings(1);
    created(write(&own, change).await);
    let session = other.session.as_ref().unwrap();
    let found = store.session_settings(&other.tenant, session).await;
    assert_eq!(found.unwrap(), None);
    let found = store.session_model(&other.tenant, session).await;
    assert_eq!(found.unwrap(), None);
    let unchanged = swap(&other, settings(1), settings(2)).await;
    assert_eq!(unchanged, SettingsSwapResult::NotFound);
    created(write(&other, put(&other, &["other"])).await);
    assert_eq!(info(&own).await.settings, Some(settings(1)));
    assert_eq!(numbered(&info(&own).await), [(0, String::from("own"))]);
}

pub(crate) async fn of_many_bytes_are_left_out_of_reads(engine: impl Harness) {
    let store = engine.store();
    let lane = TestLane::session(&store, "s");
    let mut large = settings(1).parse().unwrap();
    let bytes = usize::try_from(INLINE_BYTES_MAX).unwrap();
    large.defaults.instructions = Some("x".repeat(bytes));
    let large = StoredSettings::of(&large).unwrap();
    let texts = vec!["ü"; 2_500];
    let mut change = put(&lane, &texts);
    change.settings = large.clone();
    let written = created(write(&lane, change).await);
    assert_eq!(written.turn_count, 2_500);
    let read = info(&lane).await;
    assert_eq!((read.turn_count, read.settings), (2_500, None));
    let session = lane.session.as_ref().unwrap();
    let found = store.session_settings(&lane.tenant, session).await;
    assert_eq!(found.unwrap(), Some(large.clone()));
    let model = store.session_model(&lane.tenant, session).await;
    assert_eq!(model.unwrap().as_deref(), Some("model-1"));

    let mut lane = lane;
    lane.bounds.turns_max = 1;
    lane.complete(&["y"]).await;
    let job = lane.admit().await;
    let loaded = lane.store.load(&lane.key(), &[], Some(job)).await.unwrap();
    let Some(LoadedRunInputs::LeftOut { bytes }) = loaded.run_inputs else {
        panic!("large defaults should be left out: {:?}", loaded.run_inputs);
    };
    assert!(bytes > large.defaults.as_ref().unwrap().len() as u64);
    let run_inputs = lane.store.run_inputs(&lane.key(), job).await.unwrap();
    let defaults = run_inputs.unwrap().conversation.defaults;
    assert_eq!(defaults, large.parse().unwrap().defaults);
}

async fn swap(
    lane: &TestLane,
    expected: StoredSettings,
    next: StoredSettings,
) -> SettingsSwapResult {
    let swap = SettingsSwap {
        tenant: lane.tenant.clone(),
        session: lane.session.clone().unwrap(),
        expected,
        next,
        ttl_ms: LONG_MS,
    };
    lane.store.swap_settings(Arc::new(swap)).await.unwrap()
}

fn is_done(result: &SettingsSwapResult) -> bool {
    matches!(result, SettingsSwapResult::Done(_))
}

pub(crate) async fn swap_settings_that_are_as_expected(engine: impl Harness) {
    let lane = TestLane::session(&engine.store(), "s");
    let none = StoredSettings::default;
    assert_eq!(
        swap(&lane, none(), settings(1)).await,
        SettingsSwapResult::NotFound
    );
    // Live jobs of the session do not prevent a swap.
    let job = lane.admit().await;
    let SettingsSwapResult::Done(changed) = swap(&lane, none(), settings(1)).await else {
        panic!("the swap should succeed, because the settings are as expected");
    };
    assert_eq!((changed.live_jobs, changed.expires_at), (1, None));
    let fence = lane.claim(job, "worker-1").await;
    lane.finish(job, fence, &["a"]).await;
    // A repeated swap has an effect once.
    assert!(is_done(&swap(&lane, none(), settings(1)).await));
    assert_eq!(
        swap(&lane, none(), settings(2)).await,
        SettingsSwapResult::Changed
    );
    let before = info(&lane).await;
    assert_eq!(before.settings, Some(settings(1)));
    wait_until_passed(lane.store.as_ref(), before.updated_at).await;
    let SettingsSwapResult::Done(changed) = swap(&lane, settings(1), none()).await else {
        panic!("the swap should succeed, because the settings are as expected");
    };
    assert!(changed.updated_at > before.updated_at);
    assert!(changed.expires_at >= before.expires_at);
    assert_eq!(
        (changed.turn_count, changed.turns_bytes, changed.live_jobs),
        (1, before.turns_bytes, 0)
    );
    let read = info(&lane).await;
    assert_eq!(read.settings, Some(none()));
    assert_eq!(numbered(&read), [(0, String::from("a"))]);
}

pub(crate) async fn swap_settings_once(engine: impl Harness) {
    let lane = TestLane::session(&engine.store(), "s");
    created(write(&lane, put(&lane, &[])).await);
    let mut expected = StoredSettings::default();
    for round in 0..5 {
        let mut swaps = JoinSet::new();
        for number in 0..16 {
            let (lane, expected) = (lane.clone(), expected.clone());
            let next = settings(100 * (round + 1) + number);
            swaps.spawn(async move { (swap(&lane, expected, next.clone()).await, next) });
        }
        let swaps = swaps.join_all().await.into_iter();
        let swaps: Vec<_> = swaps.filter(|(result, _)| is_done(result)).collect();
        let [(_, winner)] = &swaps[..] else {
            panic!("one swap should succeed, not {}", swaps.len());
        };
        assert_eq!(info(&lane).await.settings.as_ref(), Some(winner));
        expected = winner.clone();
    }
}
