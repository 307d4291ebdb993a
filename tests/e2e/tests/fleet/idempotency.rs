//! Submits with the same idempotency key to both gateways make one job, also when one gateway is killed meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use e2e::{
    client::{Client, id_of},
    fleet::{Fleet, LIMIT},
};
use scripted_provider::ScriptedLlm;
use serde_json::{Value, json};
use tokio::{
    sync::mpsc::{self, UnboundedSender},
    task::JoinSet,
    time::timeout,
};

use crate::machine;

const KEYS: usize = 100;
/// The number of answers of the first gateway before it is killed.
const ANSWERED_BEFORE: usize = 20;

/// The ids of the jobs in the answers, by idempotency key.
#[derive(Default)]
struct Answers(BTreeMap<usize, BTreeSet<String>>);

impl Answers {
    fn record(&mut self, key: usize, id: String) {
        self.0.entry(key).or_default().insert(id);
    }
}

fn job_of(key: usize) -> Value {
    json!({ "session_id": format!("s-{key}"), "input": format!("key={key};") })
}

/// Submits with a key until the job is accepted; returns the job's id.
async fn submit(client: &Client, key: usize) -> String {
    let accepted = client
        .submit_until_accepted(&job_of(key), &format!("k-{key}"), LIMIT)
        .await;
    id_of(&accepted).to_owned()
}

/// Submits with a key again and again until a submit gets no answer. Sends the job's id of each answer.
async fn submit_until_killed(
    client: Client,
    key: usize,
    answers: UnboundedSender<(usize, String)>,
) {
    while let Ok(answer) = client
        .try_submit(&job_of(key), Some(&format!("k-{key}")))
        .await
    {
        // A busy machine can cause a 503.
        if answer.status != 503 {
            let id = id_of(&answer.expect(202)).to_owned();
            answers.send((key, id)).expect("the test receives answers");
        }
    }
}

#[tokio::test]
async fn a_key_sent_to_both_gateways_and_again_after_a_kill_makes_one_job() {
    let _machine = machine::beside_others().await;
    let llm = ScriptedLlm::start().await;
    let gate = llm.gate_all_requests();
    let mut fleet = Fleet::builder().workers(1).openai(&llm).start().await;
    let clients = [fleet.client_of(0), fleet.client_of(1)];
    let (sender, mut answers_of_killed) = mpsc::unbounded_channel();
    let mut killed = JoinSet::new();
    let mut running = JoinSet::new();
    for key in 0..KEYS {
        killed.spawn(submit_until_killed(clients[0].clone(), key, sender.clone()));
        let client = clients[1].clone();
        running.spawn(async move { (key, submit(&client, key).await) });
    }
    drop(sender);
    let mut answers = Answers::default();
    for _ in 0..ANSWERED_BEFORE {
        let answer = timeout(LIMIT, answers_of_killed.recv()).await;
        let (key, id) = answer.expect("an answer in time").expect("submits go on");
        answers.record(key, id);
    }
    // Each key has an unanswered submit at this moment, or its next one follows at once.
    fleet.gateways[0].kill9().await;
    timeout(LIMIT, killed.join_all())
        .await
        .expect("the kill ends all submits to the gateway");
    while let Some((key, id)) = answers_of_killed.recv().await {
        answers.record(key, id);
    }
    for (key, id) in running.join_all().await {
        answers.record(key, id);
    }

    for key in 0..KEYS {
        answers.record(key, submit(&clients[1], key).await);
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
    let again = submit(&fleet.client_of(0), 0).await;
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
