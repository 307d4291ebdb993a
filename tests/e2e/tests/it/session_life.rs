//! How long sessions live. Each use restarts a session's TTL. If there are too many sessions, the least recently used
//! session is evicted.
//!
//! These tests sleep, because they cannot poll: a read of a session is a use and would restart its TTL. The sleeps leave
//! some seconds for a busy machine.

use std::time::Duration;

use e2e::client::Client;

use crate::{fixture::Fixture, load::HEAVY_TEST_LOCK};

const TTL: (&str, &str) = ("FOREBAY_SESSION_TTL_S", "8");
/// The time between two uses of a session: some seconds shorter than the TTL. Three pauses together are longer than the
/// TTL.
const PAUSE: Duration = Duration::from_secs(3);
/// A time without use after which a session has expired: longer than the TTL.
const DISUSE: Duration = Duration::from_secs(9);
/// How long a test waits for an eviction. Forebay evicts sessions once a second.
const EVICTION_WAIT: Duration = Duration::from_secs(6);

/// Submits a message, waits until its job has completed, and returns the reply.
async fn chat(fixture: &Fixture, session: &str, text: &str) -> String {
    let id = fixture.submit_message(session, text).await;
    fixture.completed_text(&id).await
}

/// Reads the session, which is a use. Returns the HTTP status.
async fn read_status(client: &Client, session: &str) -> u16 {
    client.session(session).await.status.as_u16()
}

#[tokio::test]
async fn reads_and_submits_restart_a_sessions_ttl_and_an_unused_session_expires() {
    let _alone = HEAVY_TEST_LOCK.lock().await;
    let fixture = Fixture::with(&[TTL]).await;
    let read = async {
        chat(&fixture, "read", "turn=0").await;
        for _ in 0..3 {
            tokio::time::sleep(PAUSE).await;
            assert_eq!(read_status(&fixture.client, "read").await, 200);
        }
        tokio::time::sleep(DISUSE).await;
        assert_eq!(read_status(&fixture.client, "read").await, 404);
    };
    let submitted = async {
        chat(&fixture, "submitted", "turn=0").await;
        let replies = [(1, "seen:0,1"), (2, "seen:0,1,2"), (3, "seen:0,1,2,3")];
        for (turn, expected) in replies {
            tokio::time::sleep(PAUSE).await;
            assert_eq!(
                chat(&fixture, "submitted", &format!("turn={turn}")).await,
                expected
            );
        }
        tokio::time::sleep(DISUSE).await;
        // The session has expired, so this message begins a new session.
        assert_eq!(chat(&fixture, "submitted", "turn=4").await, "seen:4");
        assert_eq!(fixture.session_turns("submitted").await.len(), 2);
    };
    let unused = async {
        chat(&fixture, "unused", "turn=0").await;
        tokio::time::sleep(DISUSE).await;
        let answer = fixture.client.session("unused").await;
        assert_eq!(answer.expect(404)["code"], "session_not_found");
    };
    tokio::join!(read, submitted, unused);
}

#[tokio::test]
async fn a_session_with_a_live_job_does_not_expire() {
    let _alone = HEAVY_TEST_LOCK.lock().await;
    let fixture = Fixture::with(&[TTL]).await;
    chat(&fixture, "s", "turn=0").await;
    let gate = fixture.llm.gate_all_requests();
    let id = fixture.submit_message("s", "turn=1").await;
    fixture.wait_for_call("turn=1").await;
    tokio::time::sleep(DISUSE).await;
    gate.open();
    assert_eq!(fixture.completed_text(&id).await, "seen:0,1");
    // The TTL began when the last job ended, and has not passed.
    assert_eq!(read_status(&fixture.client, "s").await, 200);
    tokio::time::sleep(DISUSE).await;
    assert_eq!(read_status(&fixture.client, "s").await, 404);
}

#[tokio::test]
async fn with_a_limit_of_three_a_fourth_session_evicts_the_least_recently_used_session() {
    let _alone = HEAVY_TEST_LOCK.lock().await;
    let fixture = Fixture::with(&[("FOREBAY_SESSIONS_MAX", "3")]).await;
    for session in ["a", "b", "c"] {
        chat(&fixture, session, "turn=0").await;
    }
    // After this read of the oldest session, `b` is the least recently used session.
    assert_eq!(read_status(&fixture.client, "a").await, 200);
    tokio::time::sleep(EVICTION_WAIT).await;
    chat(&fixture, "d", "turn=0").await;
    tokio::time::sleep(EVICTION_WAIT).await;
    for (session, status) in [("a", 200), ("b", 404), ("c", 200), ("d", 200)] {
        assert_eq!(
            read_status(&fixture.client, session).await,
            status,
            "{session}"
        );
    }
}

#[tokio::test]
async fn a_session_with_a_live_job_is_never_evicted() {
    let _alone = HEAVY_TEST_LOCK.lock().await;
    let fixture = Fixture::with(&[("FOREBAY_SESSIONS_MAX", "3")]).await;
    let gate = fixture
        .llm
        .gate_requests(|request| request.last_user_text().contains("held"));
    let mut held = Vec::new();
    for number in 0..4 {
        let text = format!("turn=0 held {number}");
        held.push(
            fixture
                .submit_message(&format!("live-{number}"), &text)
                .await,
        );
        fixture.wait_for_call(&text).await;
    }
    for session in ["a", "b"] {
        chat(&fixture, session, "turn=0").await;
    }
    tokio::time::sleep(EVICTION_WAIT).await;
    // The sessions with live jobs alone exceed the limit, so all other sessions are evicted.
    for session in ["a", "b"] {
        assert_eq!(
            read_status(&fixture.client, session).await,
            404,
            "{session}"
        );
    }
    gate.open();
    for id in &held {
        assert_eq!(fixture.completed_text(id).await, "seen:0");
    }
    // Now these sessions have no live jobs, and one of them exceeds the limit.
    tokio::time::sleep(EVICTION_WAIT).await;
    let mut remaining = 0;
    for number in 0..4 {
        remaining +=
            i32::from(read_status(&fixture.client, &format!("live-{number}")).await == 200);
    }
    assert_eq!(remaining, 3);
}
