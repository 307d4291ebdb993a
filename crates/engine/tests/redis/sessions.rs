//! Sessions of which Redis has lost a part.

use forebay_shared::lane::Event;
use servers::redis::{Redis, RedisOptions};

use crate::{
    connect, server,
    test_lane::{LONG_MS, TestLane, turns},
};

/// The name of a key of the session's partition.
fn key(lane: &TestLane, name: &str) -> String {
    format!("fb:{{{:02x}}}:{name}", lane.key().partition())
}

async fn run(server: &Redis, command: &[&str]) -> String {
    server.cli(command).await.unwrap().trim().to_owned()
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

    // The entries of the indexes are gone, too.
    assert_eq!(run(&server, &["DEL", &hash]).await, "1");
    for index in ["su", "sx"] {
        let index = key(&lane, index);
        assert_eq!(run(&server, &["ZREM", &index, "default/s"]).await, "1");
    }
    let job = lane.new_job_id();
    let admission = Event::Admit(lane.admission(job));
    let appended = turns(&["newer", "newest"]);
    lane.try_apply(&admission, appended).await.unwrap();
    assert_eq!(run(&server, &["LLEN", &list]).await, "2");
    assert_eq!(run(&server, &["PTTL", &list]).await, "-1");
}
