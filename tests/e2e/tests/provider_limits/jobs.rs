//! Submits many jobs concurrently, and waits for their ends. Unless the test names a session, no job waits for
//! another.

use std::{collections::BTreeMap, time::Duration};

use e2e::{
    client::{Client, id_of},
    fleet::TIMEOUT,
};
use scripted_provider::ScriptedLlm;
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// How many submits or reads run at the same time.
const CLIENTS: usize = 32;

/// The input of a job. It is unique in the test, and no input is the start of another.
pub(crate) fn input(name: &str, number: usize) -> String {
    format!("{name} {number};")
}

/// Submits `count` jobs with the inputs of [`input`], and returns their ids in no particular order. The fields of `extra` are
/// added to each job.
pub(crate) async fn submit(
    client: &Client,
    name: &str,
    count: usize,
    extra: &Value,
) -> Vec<String> {
    let mut tasks = JoinSet::new();
    for first in 0..CLIENTS.min(count) {
        let (client, name, extra) = (client.clone(), name.to_owned(), extra.clone());
        tasks.spawn(async move {
            let mut ids = Vec::new();
            for number in (first..count).step_by(CLIENTS) {
                let input = input(&name, number);
                let mut job = json!({ "input": input });
                for (field, value) in extra.as_object().into_iter().flatten() {
                    job[field] = value.clone();
                }
                let accepted = client.submit_until_accepted(&job, &input, TIMEOUT).await;
                ids.push(id_of(&accepted).to_owned());
            }
            ids
        });
    }
    tasks.join_all().await.concat()
}

/// Waits until all these jobs have ended, for at most `timeout` each. Returns the jobs in no
/// particular order.
pub(crate) async fn wait_for_all(client: &Client, ids: &[String], timeout: Duration) -> Vec<Value> {
    let mut tasks = JoinSet::new();
    for ids in ids.chunks(ids.len().div_ceil(CLIENTS).max(1)) {
        let (client, ids) = (client.clone(), ids.to_vec());
        tasks.spawn(async move {
            let mut jobs = Vec::new();
            for id in ids {
                jobs.push(client.wait(&id, timeout).await);
            }
            jobs
        });
    }
    tasks.join_all().await.concat()
}

/// How many jobs ended in each way: `completed`, or for example `failed: rate_limited`.
pub(crate) fn ends(jobs: &[Value]) -> BTreeMap<String, usize> {
    let mut ends = BTreeMap::new();
    for job in jobs {
        let status = job["status"].as_str().unwrap_or("?");
        let end = match job["error"]["code"].as_str() {
            Some(code) => format!("{status}: {code}"),
            None => status.to_owned(),
        };
        *ends.entry(end).or_default() += 1;
    }
    ends
}

/// Asserts that all these jobs completed.
pub(crate) fn assert_all_completed(jobs: &[Value]) {
    let ends = ends(jobs);
    assert!(
        ends.keys().eq(["completed"]),
        "not all jobs completed, but {ends:?}; one of the others: {}",
        jobs.iter()
            .find(|job| job["status"] != "completed")
            .unwrap_or(&Value::Null)
    );
}

/// Asserts that the provider answered each of the first `count` jobs of this name once with 200.
pub(crate) fn assert_each_answered_once(llm: &ScriptedLlm, name: &str, count: usize) {
    let answers = llm.calls().answers_by_input();
    for number in 0..count {
        let input = input(name, number);
        let answered = answers.get(&input).copied().unwrap_or(0);
        assert_eq!(
            answered, 1,
            "the job {input:?} was answered {answered} times"
        );
    }
}
