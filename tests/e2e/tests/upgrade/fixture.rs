//! The fixture is data that processes of commit c32b0d3 wrote before they were killed, on both engines. This release
//! reads the data: ended jobs keep their outcome, live jobs end, sessions are complete, and idempotency keys return
//! their jobs.

use std::path::PathBuf;

use e2e::{
    client::{Client, id_of},
    fleet::Fleet,
    process::Forebay,
};
use scripted_provider::ScriptedLlm;
use serde_json::{Map, Value, json};

use crate::{rabbit_messages, redis_dump, scenario, sqlite_dump, times};

/// The file of the embedded engine in its data folder.
pub(crate) const DATABASE: &str = "forebay.db";

/// The folder of the fixture.
pub(crate) fn folder() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/upgrade/c32b0d3"]
        .iter()
        .collect()
}

fn read(name: &str) -> String {
    let path = folder().join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What the API showed when the fixture was made, and that time in milliseconds since 1970.
fn saved_view(name: &str) -> (Value, u64) {
    let view: Value = serde_json::from_str(&read(name)).expect("the file contains JSON");
    let made_at = view["made_at"].as_u64().expect("the file contains a time");
    (view, made_at)
}

#[tokio::test]
async fn the_embedded_engine_reads_data_of_c32b0d3() {
    let (saved, made_at) = saved_view("embedded.json");
    let folder = tempfile::tempdir().expect("a temporary folder is made");
    let sql = times::moved_to_now(&read("embedded.sql"), made_at);
    sqlite_dump::load(&folder.path().join(DATABASE), &sql);
    let llm = ScriptedLlm::start().await;
    let builder = Forebay::builder().openai(&llm);
    let builder = builder.env("FOREBAY_MODEL", "gpt-test");
    let forebay = builder.data_dir(folder.path()).start().await;
    assert_all_jobs_end(&Client::new(forebay.url()), &saved).await;
    assert_eq!(llm.refusals(), Vec::<String>::new());
}

#[tokio::test]
async fn a_fleet_reads_data_of_c32b0d3() {
    let (saved, made_at) = saved_view("fleet.json");
    let llm = ScriptedLlm::start().await;
    let fleet = Fleet::builder().openai(&llm).gateways(0).workers(0);
    let mut fleet = fleet.start().await;
    let read_moved = |name| times::moved_to_now(&read(name), made_at);
    redis_dump::load(&fleet.redis, &read_moved("fleet.redis.jsonl")).await;
    fleet.add_gateway().await;
    fleet.wait_until_gateways_are_ready().await;
    rabbit_messages::load(&fleet.vhost, &read_moved("fleet.rabbitmq.jsonl")).await;
    fleet.add_worker().await;
    assert_all_jobs_end(&fleet.client, &saved).await;
    assert_eq!(llm.refusals(), Vec::<String>::new());
}

/// Asserts that all live jobs complete, and that the API still shows everything in the view `saved`.
async fn assert_all_jobs_end(client: &Client, saved: &Value) {
    let jobs = saved["jobs"].as_object().expect("the view has jobs");
    let ids: Map<String, Value> = jobs
        .iter()
        .map(|(name, job)| (name.clone(), job["id"].clone()))
        .collect();
    // The job `under_hold` waits for this tool result. The job with the tool result runs first and ends that wait.
    let tool_result = json!([{"role": "tool", "tool_call_id": "call_1", "content": "42"}]);
    let submission = json!({"session_id": "tools", "input": tool_result});
    let job = client.submit_ok(&submission).await;
    let job = scenario::wait_for_end(client, id_of(&job)).await;
    assert_eq!(job["status"], "completed", "{job}");

    for name in scenario::LIVE {
        let job =
            scenario::wait_for_end(client, ids[name].as_str().expect("the job has an id")).await;
        assert_eq!(job["status"], "completed", "{name}: {job}");
        let before = jobs[name]["attempts"]
            .as_array()
            .expect("the job has attempts")
            .len();
        let after = job["attempts"]
            .as_array()
            .expect("the job has attempts")
            .len();
        assert_eq!(after, before + 1, "{name}: {job}");
    }
    let now = scenario::view(client, &ids).await;
    for (name, job) in jobs {
        if !scenario::LIVE.contains(&name.as_str()) {
            assert_eq!(
                without_times(&now["jobs"][name]),
                without_times(job),
                "{name}"
            );
        }
    }
    for name in scenario::SESSIONS {
        let turns = |view: &Value| {
            let turns = view["sessions"][name]["turns"].as_array();
            let turns = turns.expect("the session has turns").clone();
            turns.into_iter().map(without_number).collect::<Vec<_>>()
        };
        let (before, after) = (turns(saved), turns(&now));
        assert_eq!(after[..before.len()], before[..], "{name}");
        assert_eq!(now["sessions"][name]["live_jobs"], 0, "{name}");
    }
    for key in scenario::KEYS {
        let answer = client
            .submit_with_key(&scenario::submission_of(key), key)
            .await;
        assert_eq!(answer.header("idempotency-replayed"), Some("true"), "{key}");
        assert_eq!(id_of(&answer.expect(202)), ids[key], "{key}");
    }
}

/// A turn as clients see it, without its number, which the release of the fixture did not show.
fn without_number(mut turn: Value) -> Value {
    turn.as_object_mut()
        .expect("a turn is an object")
        .remove("number");
    turn
}

/// A job as clients see it, without its times. The times differ, because the fixture is loaded with moved times.
fn without_times(job: &Value) -> Value {
    match job {
        Value::Object(fields) => {
            let fields = fields.iter().filter(|(name, _)| !name.ends_with("_at"));
            fields
                .map(|(name, value)| (name.clone(), without_times(value)))
                .collect()
        }
        Value::Array(items) => items.iter().map(without_times).collect(),
        other => other.clone(),
    }
}
