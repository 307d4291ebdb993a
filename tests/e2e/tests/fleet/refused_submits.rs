//! A refused submit leaves no idempotency key in Redis, or leaves one for a minute only.

use e2e::{
    client::id_of,
    fleet::{Fleet, TIMEOUT, poll_until},
};
use serde_json::json;

use crate::test_lock;

/// How many submits are refused.
const REFUSED: usize = 400;

#[tokio::test]
async fn refused_submits_leave_no_key_in_redis_or_for_a_minute_only() {
    let _guard = test_lock::shared().await;
    let fleet = Fleet::builder()
        .gateways(1)
        .workers(0)
        .env("FOREBAY_BACKLOG_MAX", "3")
        .start()
        .await;
    let client = &fleet.client;
    let first = client
        .submit_with_key(&json!({ "session_id": "s", "input": "x" }), "first")
        .await
        .expect(202);
    assert_eq!(keys(&fleet).await.len(), 1);

    // The session refuses this job after its key was set.
    let busy = json!({ "session_id": "s", "input": "x", "if_busy": "reject" });
    let answer = client.submit_with_key(&busy, "busy").await;
    answer.expect(409);
    let busy_keys = keys_with(&fleet, "/busy").await;
    let [key] = &busy_keys[..] else {
        panic!("the key of the refused submit is not set");
    };
    let ttl = fleet.redis.cli(&["PTTL", key]).await;
    let ttl_ms: i64 = ttl
        .expect("Redis replies")
        .trim()
        .parse()
        .expect("the TTL is a number");
    assert!(
        (1..=60_000).contains(&ttl_ms),
        "the key lives for {ttl_ms} ms"
    );

    for number in 1..3 {
        let job = json!({ "session_id": "s", "input": "x" });
        let key = format!("accepted-{number}");
        client.submit_until_accepted(&job, &key, TIMEOUT).await;
    }
    fleet.wait_for_live_jobs(3, TIMEOUT).await;
    let full = async || client.submit(&json!({ "input": "x" })).await.status == 503;
    assert!(poll_until(TIMEOUT, full).await, "no submit is refused");
    let before = keys(&fleet).await;
    let job = json!({ "session_id": "s", "input": "x".repeat(12_000) });
    for number in 0..REFUSED {
        let answer = client.submit_with_key(&job, &format!("k{number}")).await;
        assert_eq!(answer.expect(503)["code"], "backlog_full");
    }
    // The key of the submit that the session refused may have expired meanwhile.
    let kept = |keys: Vec<String>| keys.into_iter().filter(move |other| other != key);
    let after: Vec<String> = kept(keys(&fleet).await).collect();
    assert_eq!(after, kept(before).collect::<Vec<_>>());
    let again = client
        .submit_with_key(&json!({ "session_id": "s", "input": "x" }), "first")
        .await
        .expect(202);
    assert_eq!(id_of(&again), id_of(&first));
}

/// The idempotency keys in Redis.
async fn keys(fleet: &Fleet) -> Vec<String> {
    keys_with(fleet, "").await
}

/// The idempotency keys in Redis that end with this text.
async fn keys_with(fleet: &Fleet, end: &str) -> Vec<String> {
    let listed = fleet.redis.cli(&["KEYS", &format!("*:k:*{end}")]).await;
    let listed = listed.expect("Redis lists its keys");
    let mut keys: Vec<String> = listed
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect();
    keys.sort();
    keys
}
