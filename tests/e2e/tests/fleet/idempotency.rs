//! Submits with the same idempotency key to both gateways create one job, even if one gateway is killed meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use e2e::{
    client::{Client, id_of},
    fleet::{Fleet, TIMEOUT},
};
use scripted_provider::ScriptedLlm;
use serde_json::{Value, json};
use tokio::{
    sync::mpsc::{self, UnboundedSender},
    task::JoinSet,
    time::timeout,
};

use crate::test_lock;

const KEYS: usize = 100;
/// How many submits the first gateway answers before it is killed.
const ANSWERS_BEFORE_KILL: usize = 20;

/// The ids of the jobs in the answers, by idempotency key.
#[derive(Default)]
struct Answers(BTreeMap<usize, BTreeSet<String>>);

impl Answers {
    fn record(&mut self, key: usize, id: String) {
        self.0.entry(key).or_default().insert(id);
    }
}

/// The job that is submitted with this key.
fn job_of(key: usize) -> Value {
    json!({ "session_id": format!("s-{key}"), "input": format!("key={key};") })
}

/// Submits with a key until the job is accepted. Returns the job's id.
async fn submit(client: &Client, key: usize) -> String {
    let accepted = client
        .submit_until_accepted(&job_of(key), &format!("k-{key}"), TIMEOUT)
        .await;
    id_of(&accepted).to_owned()
}

/// Submits repeatedly with a key until the gateway is killed, so that a submit gets no answer. Sends the job id of each
/// answer to `answers`.
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
            answers
                .send((key, id))
                .expect("the test still receives answers");
        }
    }
}

#[tokio::test]
async fn a_key_that_is_sent_to_both_gateways_and_again_after_a_kill_creates_one_job() {
    let _guard = test_lock::shared().await;
    let llm = ScriptedLlm::start().await;
    let gate = llm.gate_all_requests();
    let mut fleet = Fleet::builder().workers(1).openai(&llm).start().await;
    let clients = [fleet.client_of(0), fleet.client_of(1)];
    let (sender, mut answers_of_killed) = mpsc::unbounded_channel();
    let mut submits_to_killed = JoinSet::new();
    let mut submits_to_running = JoinSet::new();
    for key in 0..KEYS {
        submits_to_killed.spawn(submit_until_killed(clients[0].clone(), key, sender.clone()));
        let client = clients[1].clone();
        submits_to_running.spawn(async move { (key, submit(&client, key).await) });
    }
    drop(sender);
    let mut answers = Answers::default();
    for _ in 0..ANSWERS_BEFORE_KILL {
        let answer = timeout(TIMEOUT, answers_of_killed.recv()).await;
        let (key, id) = answer
            .expect("the answers come in time")
            .expect("the submits continue");
        answers.record(key, id);
    }
    // At this moment, each key has an unanswered submit or is about to be submitted again.
    fleet.gateways[0].kill9().await;
    timeout(TIMEOUT, submits_to_killed.join_all())
        .await
        .expect("the kill ends all submits to the gateway");
    while let Some((key, id)) = answers_of_killed.recv().await {
        answers.record(key, id);
    }
    for (key, id) in submits_to_running.join_all().await {
        answers.record(key, id);
    }

    for key in 0..KEYS {
        answers.record(key, submit(&clients[1], key).await);
    }
    let keys_with_several_jobs: Vec<_> =
        answers.0.iter().filter(|(_, ids)| ids.len() > 1).collect();
    assert!(
        keys_with_several_jobs.is_empty(),
        "keys with several jobs: {keys_with_several_jobs:?}"
    );
    let mut ids: BTreeSet<&String> = answers.0.values().flatten().collect();
    assert_eq!(ids.len(), KEYS);
    fleet.point_client_at_running_gateways();
    fleet.wait_for_live_jobs(KEYS as u64, TIMEOUT).await;

    // After its restart, the killed gateway also returns the same job.
    fleet.restart_gateway(0).await;
    fleet.wait_until_gateways_are_ready().await;
    let again = submit(&fleet.client_of(0), 0).await;
    assert!(
        !ids.insert(&again),
        "the gateway created the new job {again}"
    );
    gate.open();
    for ids in answers.0.values() {
        for id in ids {
            let job = fleet.client.wait(id, TIMEOUT).await;
            assert_eq!(job["status"], "completed", "{job}");
        }
    }
    for key in 0..KEYS {
        assert_eq!(llm.recorded_with(&format!("key={key};")).len(), 1);
    }
}
