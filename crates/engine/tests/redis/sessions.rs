//! Sessions whose data Redis has partly lost.

use forebay_shared::{lane::Event, store::TurnRange};
use servers::redis::{Redis, RedisOptions};

use crate::{
    connect, server,
    test_lane::{LONG_MS, TestLane, texts, turns},
};

/// The name of a key of the session's partition.
fn key(lane: &TestLane, name: &str) -> String {
    format!("fb:{{{:02x}}}:{name}", lane.key().partition())
}

async fn run(server: &Redis, command: &[&str]) -> String {
    server.cli(command).await.unwrap().trim().to_owned()
}

/// Deletes the hash of a session without live jobs and its entries in the indexes. The list of its turns is left.
async fn delete_all_but_turns(server: &Redis, lane: &TestLane) {
    let hash = key(lane, "s:default/s");
    assert_eq!(run(server, &["DEL", &hash]).await, "1");
    for index in ["su", "sx"] {
        let index = key(lane, index);
        assert_eq!(run(server, &["ZREM", &index, "default/s"]).await, "1");
    }
}

#[tokio::test]
async fn a_new_session_has_no_turns_of_a_session_whose_hash_is_gone() {
    let server = server(RedisOptions::default()).await;
    let store = connect(server.url()).await;
    let lane = TestLane::session(&store, "s");
    let (hash, list) = (key(&lane, "s:default/s"), key(&lane, "u:default/s"));
    lane.complete(&["old"]).await;
    assert_eq!(run(&server, &["DEL", &hash]).await, "1");
    let job = lane.admit().await;
    assert_eq!(run(&server, &["EXISTS", &list]).await, "0");
    let fence = lane.claim(job, "worker-1").await;
    lane.finish(job, fence, &["new"]).await;
    let session = lane.read_session(LONG_MS).await.unwrap();
    assert_eq!(session.turns.len(), 1);

    delete_all_but_turns(&server, &lane).await;
    let job = lane.new_job_id();
    let admission = Event::Admit(lane.admission(job));
    let appended = turns(&["newer", "newest"]);
    lane.try_apply(&admission, appended).await.unwrap();
    assert_eq!(run(&server, &["LLEN", &list]).await, "2");
    assert_eq!(run(&server, &["PTTL", &list]).await, "-1");
}

#[tokio::test]
async fn a_session_of_which_only_the_turns_are_left_begins_anew_with_an_admission() {
    let server = server(RedisOptions::default()).await;
    let store = connect(server.url()).await;
    let lane = TestLane::session(&store, "s");
    let session = lane.session.clone().unwrap();
    lane.complete(&["old"]).await;
    delete_all_but_turns(&server, &lane).await;
    let first = lane.admit().await;
    let second = lane.admit().await;

    // No read returns the old turn.
    let info = store.session_info(&lane.tenant, &session, LONG_MS).await;
    let info = info.unwrap().unwrap();
    assert_eq!((info.turn_count, info.turns), (0, Some(Vec::new())));
    let all = TurnRange {
        from: 0,
        turns_max: 9,
        bytes_max: 1_000_000,
    };
    let page = store.session_turns(&lane.tenant, &session, all).await;
    assert_eq!(page.unwrap(), []);
    let loaded = store.load(&lane.key(), &[], Some(first)).await.unwrap();
    let run_inputs = loaded.run_inputs.unwrap().inline().unwrap();
    assert!(run_inputs.conversation.turns.is_empty());

    // Jobs that add no turns leave the session without turns.
    let fence = lane.claim(first, "worker-1").await;
    lane.finish(first, fence, &[]).await;
    let fence = lane.claim(second, "worker-1").await;
    lane.finish(second, fence, &[]).await;
    assert!(lane.read_session(LONG_MS).await.unwrap().turns.is_empty());
    lane.complete(&["new", "newer"]).await;
    let read = lane.read_session(LONG_MS).await.unwrap();
    assert_eq!(texts(&read.turns), ["new", "newer"]);
    lane.complete(&["newest"]).await;
    let read = lane.read_session(LONG_MS).await.unwrap();
    assert_eq!(texts(&read.turns), ["new", "newer", "newest"]);
}
