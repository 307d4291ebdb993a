//! The process is killed with SIGKILL five times during a load and restarted with the same data folder. No accepted job is
//! lost or done twice.

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
    load::{ALL_LIMIT, HEAVY, SESSIONS, TURNS, fetch_all, provider, seed, session, submit_all},
    pair::Pair,
};

const KILLS: usize = 5;
/// The most replies between a start and the next kill. At least a quarter of the jobs is left after all kills, so that
/// jobs are unfinished at each.
const REPLIES_MAX: usize = 300;
/// The most jobs that run again after a kill: those that were in flight.
const IN_FLIGHT_MAX: usize = SESSIONS;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_five_times_nothing_accepted_is_missing_and_nothing_is_doubled() {
    let _alone = HEAVY.lock().await;
    let seed = seed();
    let mut random = StdRng::seed_from_u64(seed);
    let mut pair = Pair::over(provider(seed).await, &[]).await;
    let mut submits = submit_all(&pair.client);

    for kill in 1..=KILLS {
        let replies = answered(&pair.llm.recorded()) + random.random_range(1..=REPLIES_MAX);
        let what = format!("{replies} replies before kill {kill}");
        let enough = |records: &[Recorded]| answered(records) >= replies;
        pair.llm.wait_for_within(ALL_LIMIT, &what, enough).await;
        // The kill comes at a random moment.
        tokio::time::sleep(Duration::from_micros(random.random_range(0..30_000))).await;
        pair.forebay.kill9().await;
        let unfinished = pair.restart_without_client().await;
        println!("kill {kill} after {replies} replies left {unfinished} accepted jobs unfinished");
        assert!(
            unfinished > 0,
            "kill {kill} struck when nothing was unfinished"
        );
        pair.client.set_url(pair.forebay.url());
    }
    let mut ids = Vec::new();
    while let Some(done) = submits.join_next().await {
        ids.push(done.expect("a session's submits"));
    }
    let runs = fetch_all(&pair.client, &ids).await;

    assert_eq!(runs.len(), SESSIONS, "seed {seed}");
    assert_in_order(&runs);
    pair.assert_no_refusals();
    let jobs: BTreeSet<&str> = runs
        .iter()
        .flat_map(|run| run.jobs.iter().map(id_of))
        .collect();
    assert_eq!(jobs.len() as u64, SESSIONS as u64 * TURNS, "seed {seed}");
    let calls = pair.llm.stats().requests;
    assert!(
        calls <= jobs.len() + KILLS * IN_FLIGHT_MAX,
        "{calls} calls: more than what was in flight was asked again (seed {seed})"
    );
    pair.live_jobs_become(0).await;
    every_key_still_has_its_job(&pair.client, &ids).await;
    pair.live_jobs_become(0).await;

    // Ended jobs do not change, also after another kill.
    pair.forebay.kill9().await;
    pair.restart().await;
    let mut again = fetch_all(&pair.client, &ids).await;
    let mut runs = runs;
    for run in runs.iter_mut().chain(&mut again) {
        // Reading a session counts as a use.
        run.stored["expires_at"] = json!(null);
    }
    runs.sort_by(|a, b| a.session.cmp(&b.session));
    again.sort_by(|a, b| a.session.cmp(&b.session));
    assert!(runs == again, "what had ended has changed (seed {seed})");
}

fn answered(records: &[Recorded]) -> usize {
    records.iter().filter(|record| record.is_ok()).count()
}

/// Submits all turns again with the same keys: each answer is the job that was accepted first.
async fn every_key_still_has_its_job(client: &Client, ids: &[(usize, Vec<String>)]) {
    let mut sessions = JoinSet::new();
    for (n, ids) in ids.iter().cloned() {
        let client = client.clone();
        sessions.spawn(async move {
            let session = session(n);
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
