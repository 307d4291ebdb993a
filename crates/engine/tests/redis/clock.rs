//! The store's clock in Redis (`scripts/clock.lua`): its rule with invented times, and what an earlier or later clock of the server
//! changes.

use forebay_shared::{
    ids::ProcessId,
    store::{SessionRemoval, Store},
};
use servers::redis::{Redis, RedisOptions};

use crate::{
    connect, server,
    test_lane::{TestLane, worker},
};

const RULE: &str = include_str!("../../src/distributed/store/scripts/clock.lua");
const CLOCK: &str = "fb:fleet:clock:{fb:fleet:presence}";
const PRESENCE: &str = "fb:fleet:presence";
const HOUR_MS: i64 = 3_600_000;
const STEPS_MS: [i64; 4] = [HOUR_MS, -HOUR_MS, 72 * HOUR_MS, -72 * HOUR_MS];
const NOW_MS: i64 = 1_764_000_000_000;
const TTL_MS: u64 = 3_000;
/// Longer than a test takes, and shorter than a step.
const LONG_TTL_MS: u64 = 600_000;

/// Applies the rule to the server's time, the stored shift, the latest time and the expected time. Returns the store's time and the
/// shift.
async fn next(
    server: &Redis,
    now_ms: i64,
    shift_ms: i64,
    latest_ms: Option<i64>,
    expected_ms: Option<i64>,
) -> (i64, i64) {
    let script = format!(
        "{RULE} local time, shift = next_clock(tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]))
         return {{ms(time), ms(shift)}}"
    );
    let text = |ms: Option<i64>| ms.map(|ms| ms.to_string()).unwrap_or_default();
    let (now, shift) = (now_ms.to_string(), shift_ms.to_string());
    let (latest, expected) = (text(latest_ms), text(expected_ms));
    let command = ["EVAL", &script, "0", &now, &shift, &latest, &expected];
    let reply = server.cli(&command).await.unwrap();
    let mut parts = reply.lines().map(|line| line.parse().unwrap());
    (parts.next().unwrap(), parts.next().unwrap())
}

#[tokio::test]
async fn the_rule_keeps_the_clock_steady() {
    let server = server(RedisOptions::default()).await;
    // Without data, the clock is the server's. Without a step, it advances with the server's.
    assert_eq!(next(&server, NOW_MS, 0, None, None).await, (NOW_MS, 0));
    let (latest, expected) = (Some(NOW_MS - 900), Some(NOW_MS - 3));
    assert_eq!(
        next(&server, NOW_MS, 0, latest, expected).await,
        (NOW_MS, 0)
    );
    for step_ms in STEPS_MS {
        let set = NOW_MS + step_ms;
        // A step, as the next renewal sees it, and then its correction.
        assert_eq!(
            next(&server, set, 0, latest, Some(NOW_MS)).await,
            (NOW_MS, step_ms)
        );
        let later = Some(NOW_MS + 1_000);
        assert_eq!(
            next(&server, NOW_MS + 1_000, step_ms, Some(NOW_MS), later).await,
            (NOW_MS + 1_000, 0)
        );
        // Another process has corrected the clock before.
        let found = next(&server, set + 1_000, step_ms, Some(NOW_MS + 990), later).await;
        assert_eq!(found, (NOW_MS + 1_000, step_ms));
    }
    // A new process expects nothing: the clock continues after a step back, and a step forward counts as a pause.
    for step_ms in [-HOUR_MS, -72 * HOUR_MS] {
        let found = next(&server, NOW_MS + step_ms, 0, Some(NOW_MS), None).await;
        assert_eq!(found, (NOW_MS, step_ms));
    }
    let found = next(&server, NOW_MS + HOUR_MS, 0, Some(NOW_MS), None).await;
    assert_eq!(found, (NOW_MS + HOUR_MS, 0));
}

#[tokio::test]
async fn the_rule_counts_outages_and_pauses() {
    let server = server(RedisOptions::default()).await;
    // An outage of the server, which the caller's clock has measured.
    let (latest, expected) = (Some(NOW_MS - 600_000), Some(NOW_MS - 5));
    assert_eq!(
        next(&server, NOW_MS, 0, latest, expected).await,
        (NOW_MS, 0)
    );
    // The caller was paused, and others renewed their presence meanwhile.
    let (latest, expected) = (Some(NOW_MS - 800), Some(NOW_MS - 600_000));
    assert_eq!(
        next(&server, NOW_MS, 0, latest, expected).await,
        (NOW_MS, 0)
    );
    // After a stall, a command that was sent before it makes the clock slow. The next command corrects this.
    let (latest, late) = (Some(NOW_MS - 10_500), Some(NOW_MS - 10_000));
    let (slow, shift) = next(&server, NOW_MS, 0, latest, late).await;
    assert_eq!((slow, shift), (NOW_MS - 10_000, 10_000));
    let found = next(&server, NOW_MS + 9, shift, Some(slow), Some(NOW_MS + 5)).await;
    assert_eq!(found, (NOW_MS + 5, 4));
    // The clock never goes back by a small step.
    let found = next(&server, NOW_MS - 400, 0, Some(NOW_MS), None).await;
    assert_eq!(found, (NOW_MS, 0));
}

/// Renews the presence of a process. Returns the processes whose presence is not older than the presence TTL.
async fn renew(store: &dyn Store, process: &ProcessId, presence_ttl_ms: u64) -> Vec<ProcessId> {
    let live = store.renew_presence(process, presence_ttl_ms).await;
    live.unwrap().alive.iter().cloned().collect()
}

/// Changes the stored clock and presence as if the server's clock had been later by `ms` until now.
async fn set_server_back(server: &Redis, ms: i64) {
    let script = "local time = redis.call('HINCRBY', KEYS[1], 'time', ARGV[1])
        for _, process in ipairs(redis.call('ZRANGE', ARGV[2], 0, -1)) do
            redis.call('ZINCRBY', ARGV[2], ARGV[1], process)
        end
        return time";
    let command = ["EVAL", script, "1", CLOCK, &ms.to_string(), PRESENCE];
    server.cli(&command).await.unwrap();
}

#[tokio::test]
async fn a_process_that_died_before_a_step_back_is_gone_after_the_presence_ttl() {
    let server = server(RedisOptions::default()).await;
    let store = connect(server.url()).await;
    let (dead, alive) = (worker("dead"), worker("alive"));
    renew(store.as_ref(), &dead, TTL_MS).await;
    set_server_back(&server, HOUR_MS).await;
    // The process that starts after the step finds the clock where it was.
    let before = store.now();
    let store = connect(server.url()).await;
    let hour_ms = HOUR_MS.unsigned_abs();
    assert!(store.now().since_ms(before) >= hour_ms - 1_000);
    assert!(store.to_utc(store.now()).since_ms(before) < hour_ms / 2);
    // On a busy machine, the presence TTL can pass before this renewal.
    let renewed = renew(store.as_ref(), &alive, LONG_TTL_MS).await;
    assert_eq!(renewed, [alive.clone(), dead]);
    let began = store.now();
    while renew(store.as_ref(), &alive, TTL_MS).await.len() > 1 {
        assert!(store.now().since_ms(began) < 60_000, "the process stays");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_term_of_which_more_than_a_full_term_is_left_is_void() {
    let server = server(RedisOptions::default()).await;
    let store = connect(server.url()).await;
    let (dead, alive) = (worker("dead"), worker("alive"));
    assert!(store.elect_sweeper(&dead, LONG_TTL_MS).await.unwrap());
    assert!(!store.elect_sweeper(&alive, LONG_TTL_MS).await.unwrap());
    // What is left of the term after a step back by an hour.
    let left = HOUR_MS.to_string();
    let command = ["PEXPIRE", "fb:fleet:sweeper", &left];
    server.cli(&command).await.unwrap();
    assert!(store.elect_sweeper(&alive, LONG_TTL_MS).await.unwrap());
}

#[tokio::test]
async fn the_clock_of_an_older_release_is_its_latest_presence() {
    let server = server(RedisOptions::default()).await;
    let store = connect(server.url()).await;
    let ahead = store.now().plus_ms(HOUR_MS.unsigned_abs());
    let score = ahead.0.to_string();
    server
        .cli(&["ZADD", PRESENCE, &score, "older"])
        .await
        .unwrap();
    let store = connect(server.url()).await;
    assert!(store.now() >= ahead);
}

#[tokio::test]
async fn a_session_that_redis_deletes_too_late_has_expired() {
    let server = server(RedisOptions::default()).await;
    let names = ["read", "removed", "continued"];
    {
        let store = connect(server.url()).await;
        for name in names {
            let mut lane = TestLane::session(&store, name);
            lane.bounds.ttl_ms = 60_000;
            lane.complete(&["old"]).await;
        }
        renew(store.as_ref(), &worker("worker-1"), TTL_MS).await;
    }
    // Redis still keeps the sessions for a minute of its own clock.
    set_server_back(&server, HOUR_MS).await;
    let store = connect(server.url()).await;
    let [read, removed, continued] = names.map(|name| TestLane::session(&store, name));
    assert_eq!(read.read_session(60_000).await, None);
    let session = removed.session.as_ref().unwrap();
    let removal = store.remove_session(&removed.tenant, session).await;
    assert_eq!(removal.unwrap(), SessionRemoval::NotFound);
    let restarted_at = store.now();
    continued.complete(&["new"]).await;
    let session = continued.read_session(60_000).await.unwrap();
    assert!(session.created_at >= restarted_at);
    assert_eq!(session.turns.len(), 1);
}
