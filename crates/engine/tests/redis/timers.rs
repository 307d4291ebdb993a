//! The searches for due timers and for heads: when most of them are in one partition, and when entries of an index are damaged
//! or belong to jobs that are gone.

use forebay_shared::{
    class::Class,
    ids::{LaneKey, TenantId},
    store::{HeadFilter, TimerMove},
    time::TimeMs,
};
use servers::redis::{Redis, RedisOptions};

use crate::{
    connect, server,
    test_lane::{LONG_MS, TestLane},
};

/// How many timers or heads the tests read at once.
const PAGE: usize = 500;

/// The prefix of the keys of a partition.
fn prefix(partition: u8) -> String {
    format!("fb:{{{partition:02x}}}:")
}

/// The time of a timer, as text; empty if there is no such timer.
async fn score(server: &Redis, partition: u8, member: &str) -> String {
    let key = prefix(partition) + "t";
    server.cli(&["ZSCORE", &key, member]).await.unwrap()
}

#[tokio::test]
async fn the_earliest_timers_of_all_partitions_are_found() {
    let server = server(RedisOptions::default()).await;
    let store = connect(server.url()).await;
    // All timers of a session are in one partition, so one partition holds most of the due timers.
    let (many, few) = (
        TestLane::session(&store, "many"),
        TestLane::session(&store, "few"),
    );
    for number in 0..80 {
        many.admit().await;
        if number % 20 == 0 {
            few.admit().await;
        }
    }
    let after_all_timers = store.now().plus_ms(9 * LONG_MS);
    let all = store.due_timers(after_all_timers, 1_000).await.unwrap();
    assert_eq!(all.len(), 84);
    assert!(all.is_sorted_by_key(|timer| timer.at));
    for limit in [1, 9, 50, 83, 84, 85] {
        let found = store.due_timers(after_all_timers, limit).await.unwrap();
        assert_eq!(found, all[..limit.min(84)], "limit {limit}");
    }
}

#[tokio::test]
async fn timers_of_jobs_without_records_are_removed_and_hide_no_others() {
    let server = server(RedisOptions::default()).await;
    let store = connect(server.url()).await;
    // A third of the orphans, a whole page, is in the partition of the session.
    let session = TestLane::session(&store, "s");
    let mut orphans = Vec::new();
    for number in 0..3 * PAGE {
        let lane = TestLane::without_session(&store);
        orphans.push(match number % 3 {
            0 => session.new_job_id(),
            _ => lane.new_job_id(),
        });
    }
    for orphan in &orphans {
        let key = prefix(orphan.partition()) + "t";
        let added = server.cli(&["ZADD", &key, "1", &orphan.to_string()]).await;
        assert_eq!(added.unwrap().trim(), "1");
    }
    let job = session.admit().await;
    let after_all_timers = store.now().plus_ms(9 * LONG_MS);
    let due = store.due_timers(after_all_timers, PAGE).await.unwrap();
    let due: Vec<_> = due.iter().map(|timer| timer.job).collect();
    assert_eq!(due, [job]);
    for orphan in &orphans {
        assert_eq!(
            score(&server, orphan.partition(), &orphan.to_string()).await,
            ""
        );
    }
}

#[tokio::test]
async fn the_timer_of_a_live_job_without_a_record_stays_and_hides_no_others() {
    let server = server(RedisOptions::default()).await;
    let store = connect(server.url()).await;
    let lane = TestLane::session(&store, "s");
    let (running, queued) = (lane.admit().await, lane.admit().await);
    lane.claim(running, "worker-1").await;
    for job in [running, queued] {
        let key = format!("{}j:{job}", prefix(job.partition()));
        assert_eq!(server.cli(&["DEL", &key]).await.unwrap().trim(), "1");
    }
    let other = TestLane::session(&store, "other").admit().await;
    // The timer of the other job is moved behind those of the jobs without records.
    let (soon, after_all_timers) = (
        store.now().plus_ms(LONG_MS / 2),
        store.now().plus_ms(9 * LONG_MS),
    );
    let timers = store.due_timers(soon, 10).await.unwrap();
    let timer = timers.iter().find(|timer| timer.job == other).unwrap();
    let later = TimerMove {
        job: other,
        from: timer.at,
        to: after_all_timers,
    };
    assert_eq!(store.move_timers(&[later]).await.unwrap(), [true]);
    let due = store.due_timers(after_all_timers, 1).await.unwrap();
    assert_eq!(
        due.iter().map(|timer| timer.job).collect::<Vec<_>>(),
        [other]
    );
    for job in [running, queued] {
        let at: u64 = score(&server, job.partition(), &job.to_string())
            .await
            .trim()
            .parse()
            .unwrap();
        assert!(TimeMs(at) > after_all_timers, "the timer was not postponed");
    }
}

#[tokio::test]
async fn a_timer_that_this_release_cannot_read_is_postponed() {
    let server = server(RedisOptions::default()).await;
    let store = connect(server.url()).await;
    let job = TestLane::session(&store, "s").admit().await;
    let key = prefix(7) + "t";
    server
        .cli(&["ZADD", &key, "1", "of-a-newer-release"])
        .await
        .unwrap();
    let after_all_timers = store.now().plus_ms(9 * LONG_MS);
    let due = store.due_timers(after_all_timers, 1).await.unwrap();
    assert_eq!(due.iter().map(|timer| timer.job).collect::<Vec<_>>(), [job]);
    let at: u64 = score(&server, 7, "of-a-newer-release")
        .await
        .trim()
        .parse()
        .unwrap();
    assert!(TimeMs(at) > after_all_timers);
}

#[tokio::test]
async fn entries_without_heads_hide_no_heads() {
    let server = server(RedisOptions::default()).await;
    let store = connect(server.url()).await;
    let session = TestLane::session(&store, "s");
    let job = session.admit().await;
    let partition = session.key().partition();
    // More entries than a page can have sort before the entry of this session. Half of them contain no valid key of a lane.
    for number in 0..2 * PAGE {
        let stray = match number % 2 {
            0 => format!("ia/newer-{number}"),
            _ => format!(
                "i{}",
                LaneKey::of(&TenantId::default(), None, session.new_job_id())
            ),
        };
        let key = prefix(partition) + "h";
        server.cli(&["ZADD", &key, "0", &stray]).await.unwrap();
    }
    let ready = HeadFilter::Ready(Class::Interactive);
    let heads = store.heads(ready, None, PAGE).await.unwrap().heads;
    let heads: Vec<_> = heads
        .into_iter()
        .map(|head| (head.lane, head.job))
        .collect();
    assert_eq!(heads, [(session.key(), job)]);
}
