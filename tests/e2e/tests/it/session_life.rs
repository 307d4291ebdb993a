//! How long sessions live: a sliding time to live, and a cap that evicts the least recently used.
//!
//! The sleeps here are the thing itself: silence is what a session's life ends by, and to look at a
//! session is to use it, so nothing can be awaited by looking. Each test has the machine for itself, as
//! half a second late is too late.

use std::time::Duration;

use e2e::client::Client;

use crate::{load::HEAVY, pair::Pair};

const TTL: (&str, &str) = ("FOREBAY_SESSION_TTL_S", "2");
/// Shorter than the time to live.
const PAUSE: Duration = Duration::from_millis(1_500);
/// Longer than the time to live.
const SILENCE: Duration = Duration::from_secs(3);
/// Sessions over the cap are looked for once a second.
const EVICTION: Duration = Duration::from_millis(3_000);

async fn say(pair: &Pair, session: &str, text: &str) -> String {
    let id = pair.say(session, text).await;
    pair.text(&id).await
}

/// The status of a look at the session, which is a use of it.
async fn look(client: &Client, session: &str) -> u16 {
    client.session(session).await.status.as_u16()
}

#[tokio::test]
async fn reading_or_submitting_keeps_a_session_and_silence_ends_it() {
    let _alone = HEAVY.lock().await;
    let pair = Pair::with(&[TTL]).await;
    let read = async {
        say(&pair, "read", "turn=0").await;
        for _ in 0..2 {
            tokio::time::sleep(PAUSE).await;
            assert_eq!(look(&pair.client, "read").await, 200);
        }
        tokio::time::sleep(SILENCE).await;
        assert_eq!(look(&pair.client, "read").await, 404);
    };
    let submitted = async {
        say(&pair, "submitted", "turn=0").await;
        for (n, expected) in [(1, "seen:0,1"), (2, "seen:0,1,2")] {
            tokio::time::sleep(PAUSE).await;
            assert_eq!(
                say(&pair, "submitted", &format!("turn={n}")).await,
                expected
            );
        }
        tokio::time::sleep(SILENCE).await;
        // Gone, so this begins a new one.
        assert_eq!(say(&pair, "submitted", "turn=3").await, "seen:3");
        assert_eq!(pair.held("submitted").await.len(), 2);
    };
    let silent = async {
        say(&pair, "silent", "turn=0").await;
        tokio::time::sleep(SILENCE).await;
        let answer = pair.client.session("silent").await;
        assert_eq!(answer.expect(404)["code"], "session_not_found");
    };
    tokio::join!(read, submitted, silent);
}

#[tokio::test]
async fn a_session_with_a_live_job_does_not_expire() {
    let _alone = HEAVY.lock().await;
    let pair = Pair::with(&[TTL]).await;
    say(&pair, "s", "turn=0").await;
    let gate = pair.llm.hold();
    let id = pair.say("s", "turn=1").await;
    pair.running("turn=1").await;
    tokio::time::sleep(SILENCE).await;
    gate.open();
    assert_eq!(pair.text(&id).await, "seen:0,1");
    // The end of its last job began its time to live, and it is not over.
    assert_eq!(look(&pair.client, "s").await, 200);
    tokio::time::sleep(SILENCE).await;
    assert_eq!(look(&pair.client, "s").await, 404);
}

#[tokio::test]
async fn a_fourth_session_evicts_the_least_recently_used() {
    let _alone = HEAVY.lock().await;
    let pair = Pair::with(&[("FOREBAY_SESSIONS_MAX", "3")]).await;
    for session in ["a", "b", "c"] {
        say(&pair, session, "turn=0").await;
    }
    // Neither the oldest nor the one just made is the least recently used now.
    assert_eq!(look(&pair.client, "a").await, 200);
    tokio::time::sleep(EVICTION).await;
    say(&pair, "d", "turn=0").await;
    tokio::time::sleep(EVICTION).await;
    for (session, status) in [("a", 200), ("b", 404), ("c", 200), ("d", 200)] {
        assert_eq!(look(&pair.client, session).await, status, "{session}");
    }
}

#[tokio::test]
async fn a_session_with_a_live_job_is_never_evicted() {
    let _alone = HEAVY.lock().await;
    let pair = Pair::with(&[("FOREBAY_SESSIONS_MAX", "3")]).await;
    let gate = pair
        .llm
        .hold_those(|request| request.last_user_text().contains("held"));
    let mut held = Vec::new();
    for n in 0..4 {
        let text = format!("turn=0 held {n}");
        held.push(pair.say(&format!("live-{n}"), &text).await);
        pair.running(&text).await;
    }
    for session in ["a", "b"] {
        say(&pair, session, "turn=0").await;
    }
    tokio::time::sleep(EVICTION).await;
    // All that could go have gone; the live ones are over the cap by themselves.
    for session in ["a", "b"] {
        assert_eq!(look(&pair.client, session).await, 404, "{session}");
    }
    gate.open();
    for id in &held {
        assert_eq!(pair.text(id).await, "seen:0");
    }
    // At rest they are sessions like any other: one is too many.
    tokio::time::sleep(EVICTION).await;
    let mut left = 0;
    for n in 0..4 {
        left += i32::from(look(&pair.client, &format!("live-{n}")).await == 200);
    }
    assert_eq!(left, 3);
}
