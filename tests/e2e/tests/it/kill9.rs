//! The process is killed with SIGKILL five times during a load. Each time it is started again with the same data
//! folder. No accepted job is lost, and no job completes twice.

use std::{collections::BTreeSet, time::Duration};

use e2e::{
    client::{Client, id_of, turn_key, turn_text},
    order::assert_in_order,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use scripted_provider::Recorded;
use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    fixture::Fixture,
    load::{
        ALL_TIMEOUT, HEAVY_TEST_LOCK, SESSIONS, TURNS, fetch_all, provider, seed, session_name,
        submit_all,
    },
};

const KILLS: usize = 5;
/// The most replies that the test awaits between a start and the next kill. The five rounds have about 1,500 replies at
/// most, and there are 2,000 jobs, so some jobs are unfinished at each kill.
const REPLIES_MAX: usize = 300;
/// The most calls that are in flight at a kill and are repeated after it: one call for each session.
const IN_FLIGHT_MAX: usize = SESSIONS;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_five_kills_no_accepted_job_is_lost_and_none_completes_twice() {
    let _alone = HEAVY_TEST_LOCK.lock().await;
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    let mut fixture = Fixture::with_provider(provider(seed).await, &[]).await;
    let mut submits = submit_all(&fixture.client);

    for kill in 1..=KILLS {
        let replies = answered(&fixture.llm.recorded()) + random.random_range(1..=REPLIES_MAX);
        let description = format!("{replies} replies before kill {kill}");
        let enough = |records: &[Recorded]| answered(records) >= replies;
        fixture
            .llm
            .wait_for_within(ALL_TIMEOUT, &description, enough)
            .await;
        // The kill must happen at a random moment, not right after a reply.
        tokio::time::sleep(Duration::from_micros(random.random_range(0..30_000))).await;
        fixture.forebay.kill9().await;
        // The clients keep the old URL until the check, so they cannot submit a new job before it.
        let unfinished = fixture.restart_without_client().await;
        println!("kill {kill} after {replies} replies: {unfinished} accepted jobs were unfinished");
        assert!(unfinished > 0, "no job was unfinished at kill {kill}");
        fixture.client.set_url(fixture.forebay.url());
    }
    let mut ids = Vec::new();
    while let Some(done) = submits.join_next().await {
        ids.push(done.expect("the submits of a session do not panic"));
    }
    let runs = fetch_all(&fixture.client, &ids).await;

    assert_eq!(runs.len(), SESSIONS, "seed {seed}");
    assert_in_order(&runs);
    fixture.assert_no_refusals();
    let jobs: BTreeSet<&str> = runs
        .iter()
        .flat_map(|run| run.jobs.iter().map(id_of))
        .collect();
    assert_eq!(jobs.len() as u64, SESSIONS as u64 * TURNS, "seed {seed}");
    let calls = fixture.llm.stats().requests;
    assert!(
        calls <= jobs.len() + KILLS * IN_FLIGHT_MAX,
        "the provider got {calls} calls: more calls were repeated than were in flight (seed {seed})"
    );
    fixture.wait_for_live_jobs(0).await;
    assert_keys_replay_their_jobs(&fixture.client, &ids).await;
    fixture.wait_for_live_jobs(0).await;

    // Another kill does not change jobs that have ended.
    fixture.forebay.kill9().await;
    fixture.restart().await;
    let mut runs_after_kill = fetch_all(&fixture.client, &ids).await;
    let mut runs = runs;
    for run in runs.iter_mut().chain(&mut runs_after_kill) {
        // Reading a session restarts its TTL, so the expiry differs.
        run.stored["expires_at"] = json!(null);
    }
    runs.sort_by(|left, right| left.session.cmp(&right.session));
    runs_after_kill.sort_by(|left, right| left.session.cmp(&right.session));
    assert!(
        runs == runs_after_kill,
        "ended jobs have changed (seed {seed})"
    );
}

/// The number of replies with the status 200.
fn answered(records: &[Recorded]) -> usize {
    records.iter().filter(|record| record.is_ok()).count()
}

/// Submits all turns again with the same keys. Asserts that each answer is the job that was accepted at first.
async fn assert_keys_replay_their_jobs(client: &Client, ids: &[(usize, Vec<String>)]) {
    let mut sessions = JoinSet::new();
    for (number, ids) in ids.iter().cloned() {
        let client = client.clone();
        sessions.spawn(async move {
            let session = session_name(number);
            for (turn, id) in (0..).zip(&ids) {
                let job = json!({ "session_id": session, "input": turn_text(&session, turn) });
                let answer = client
                    .submit_with_key(&job, &turn_key(&session, turn))
                    .await;
                assert_eq!(answer.header("idempotency-replayed"), Some("true"));
                assert_eq!(id_of(&answer.expect(202)), id);
            }
        });
    }
    sessions.join_all().await;
}
