//! How long sessions live: a sliding time to live, and a cap that evicts the least recently used session.
//!
//! These tests sleep. A session ends after a time without use, and a read is a use, so a test cannot poll for the end.
//! The sleeps leave some seconds for a busy machine.

use std::time::Duration;

use e2e::client::Client;

use crate::{fixture::Fixture, load::HEAVY};

const TTL: (&str, &str) = ("FOREBAY_SESSION_TTL_S", "6");
/// Shorter than the time to live, by seconds.
const PAUSE: Duration = Duration::from_millis(2_500);
/// Longer than the time to live.
const DISUSE: Duration = Duration::from_secs(7);
/// Sessions over the cap are evicted once a second.
const EVICTION: Duration = Duration::from_secs(6);

async fn chat(fixture: &Fixture, session: &str, text: &str) -> String {
    let id = fixture.submit_message(session, text).await;
    fixture.completed_text(&id).await
}

/// Reads the session, which counts as a use; returns the HTTP status.
async fn read_status(client: &Client, session: &str) -> u16 {
    client.session(session).await.status.as_u16()
}

#[tokio::test]
async fn a_read_or_a_submit_keeps_a_session_and_disuse_ends_it() {
    let _alone = HEAVY.lock().await;
    let fixture = Fixture::with(&[TTL]).await;
    let read = async {
        chat(&fixture, "read", "turn=0").await;
        for _ in 0..2 {
            tokio::time::sleep(PAUSE).await;
            assert_eq!(read_status(&fixture.client, "read").await, 200);
        }
        tokio::time::sleep(DISUSE).await;
        assert_eq!(read_status(&fixture.client, "read").await, 404);
    };
    let submitted = async {
        chat(&fixture, "submitted", "turn=0").await;
        for (n, expected) in [(1, "seen:0,1"), (2, "seen:0,1,2")] {
            tokio::time::sleep(PAUSE).await;
            assert_eq!(
                chat(&fixture, "submitted", &format!("turn={n}")).await,
                expected
            );
        }
        tokio::time::sleep(DISUSE).await;
        // The session has ended, so this begins a new one.
        assert_eq!(chat(&fixture, "submitted", "turn=3").await, "seen:3");
        assert_eq!(fixture.session_turns("submitted").await.len(), 2);
    };
    let silent = async {
        chat(&fixture, "silent", "turn=0").await;
        tokio::time::sleep(DISUSE).await;
        let answer = fixture.client.session("silent").await;
        assert_eq!(answer.expect(404)["code"], "session_not_found");
    };
    tokio::join!(read, submitted, silent);
}

#[tokio::test]
async fn a_session_with_a_live_job_does_not_expire() {
    let _alone = HEAVY.lock().await;
    let fixture = Fixture::with(&[TTL]).await;
    chat(&fixture, "s", "turn=0").await;
    let gate = fixture.llm.gate_all_requests();
    let id = fixture.submit_message("s", "turn=1").await;
    fixture.wait_for_call("turn=1").await;
    tokio::time::sleep(DISUSE).await;
    gate.open();
    assert_eq!(fixture.completed_text(&id).await, "seen:0,1");
    // Its time to live began with the end of its last job and has not passed.
    assert_eq!(read_status(&fixture.client, "s").await, 200);
    tokio::time::sleep(DISUSE).await;
    assert_eq!(read_status(&fixture.client, "s").await, 404);
}

#[tokio::test]
async fn a_fourth_session_evicts_the_least_recently_used_one() {
    let _alone = HEAVY.lock().await;
    let fixture = Fixture::with(&[("FOREBAY_SESSIONS_MAX", "3")]).await;
    for session in ["a", "b", "c"] {
        chat(&fixture, session, "turn=0").await;
    }
    // The least recently used session is now neither the oldest nor the newest.
    assert_eq!(read_status(&fixture.client, "a").await, 200);
    tokio::time::sleep(EVICTION).await;
    chat(&fixture, "d", "turn=0").await;
    tokio::time::sleep(EVICTION).await;
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
    let _alone = HEAVY.lock().await;
    let fixture = Fixture::with(&[("FOREBAY_SESSIONS_MAX", "3")]).await;
    let gate = fixture
        .llm
        .gate_requests(|request| request.last_user_text().contains("held"));
    let mut held = Vec::new();
    for n in 0..4 {
        let text = format!("turn=0 held {n}");
        held.push(fixture.submit_message(&format!("live-{n}"), &text).await);
        fixture.wait_for_call(&text).await;
    }
    for session in ["a", "b"] {
        chat(&fixture, session, "turn=0").await;
    }
    tokio::time::sleep(EVICTION).await;
    // All sessions without a live job are evicted; the others alone exceed the cap.
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
    // Without live jobs, one of them is over the cap.
    tokio::time::sleep(EVICTION).await;
    let mut left = 0;
    for n in 0..4 {
        left += i32::from(read_status(&fixture.client, &format!("live-{n}")).await == 200);
    }
    assert_eq!(left, 3);
}
