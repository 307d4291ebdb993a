//! Submits with the same idempotency key to both gateways make one job, also when one gateway is killed meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use e2e::{
    client::{Client, id_of},
    fleet::{Fleet, LIMIT},
};
use scripted_provider::ScriptedLlm;
use serde_json::json;
use tokio::task::JoinSet;

use crate::machine;

const KEYS: usize = 100;
/// The number of answered submits before the gateway is killed.
const ANSWERED_BEFORE: usize = 30;

/// The ids of the jobs in the answers, by idempotency key.
#[derive(Default)]
struct Answers(BTreeMap<usize, BTreeSet<String>>);

impl Answers {
    fn record(&mut self, key: usize, id: String) {
        self.0.entry(key).or_default().insert(id);
    }
}

/// Submits with a key; returns the job's id, or `None` without an answer.
async fn submit(client: &Client, key: usize) -> Option<String> {
    let job = json!({ "session_id": format!("s-{key}"), "input": format!("key={key};") });
    let answer = client.try_submit(&job, Some(&format!("k-{key}"))).await;
    Some(id_of(&answer.ok()?.expect(202)).to_owned())
}

#[tokio::test]
async fn a_key_sent_to_both_gateways_and_again_after_a_kill_makes_one_job() {
    let _machine = machine::beside_others().await;
    let llm = ScriptedLlm::start().await;
    let gate = llm.hold();
    let mut fleet = Fleet::builder().workers(1).openai(&llm).start().await;
    let clients = [fleet.client_of(0), fleet.client_of(1)];
    let mut submits = JoinSet::new();
    for key in 0..KEYS {
        for client in clients.clone() {
            submits.spawn(async move { (key, submit(&client, key).await) });
        }
    }
    let mut answers = Answers::default();
    let (mut answered, mut unanswered) = (0, 0);
    while let Some(done) = submits.join_next().await {
        match done.expect("a submit") {
            (key, Some(id)) => answers.record(key, id),
            (_, None) => unanswered += 1,
        }
        answered += 1;
        if answered == ANSWERED_BEFORE {
            fleet.gateways[0].kill9().await;
        }
    }
    println!("{unanswered} submits were cut off by the kill");
    assert!(unanswered > 0, "all submits were answered before the kill");

    for key in 0..KEYS {
        let id = submit(&clients[1], key).await;
        answers.record(key, id.expect("an answer of the running gateway"));
    }
    let several: Vec<_> = answers.0.iter().filter(|(_, ids)| ids.len() > 1).collect();
    assert!(several.is_empty(), "keys with several jobs: {several:?}");
    let mut ids: BTreeSet<&String> = answers.0.values().flatten().collect();
    assert_eq!(ids.len(), KEYS);
    fleet.point_client_at_running_gateways();
    fleet.live_jobs_become(KEYS as u64, LIMIT).await;

    // The killed gateway returns the same job after its restart, too.
    fleet.restart_gateway(0).await;
    fleet.gateways_become_ready().await;
    let again = submit(&fleet.client_of(0), 0).await.expect("an answer");
    assert!(!ids.insert(&again), "{again} is a new job");
    gate.open();
    for ids in answers.0.values() {
        for id in ids {
            let job = fleet.client.wait(id, LIMIT).await;
            assert_eq!(job["status"], "completed", "{job}");
        }
    }
    for key in 0..KEYS {
        assert_eq!(llm.recorded_with(&format!("key={key};")).len(), 1);
    }
}
