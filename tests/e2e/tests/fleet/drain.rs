//! A busy worker of a fleet gets SIGTERM. Jobs whose calls end within the drain time complete. The other jobs run again
//! on another worker, and their release costs no try. The process ends within some seconds after the drain time, even
//! if its servers do not answer.

use std::time::{Duration, Instant};

use e2e::{
    client::id_of,
    fleet::{Fleet, Member, TIMEOUT},
    slowdown,
};
use scripted_provider::{ChatRequest, Recorded, ScriptedLlm};
use serde_json::{Value, json};
use servers::proxy::Proxy;

use crate::test_lock;

/// The drain time of the worker: how long its calls may continue after SIGTERM. It is long enough for the quick calls on a
/// busy machine too.
const DRAIN_TIME: Duration = Duration::from_secs(10);
/// How long after the drain time a process may still run on an idle machine. The README promises 4 s.
const EXIT_WITHIN: Duration = Duration::from_secs(5);
/// The number of jobs whose calls end within the drain time.
const QUICK: usize = 40;
/// The number of jobs whose calls take longer.
const SLOW: usize = 10;
/// The number of jobs that wait for a free slot of the busy worker.
const WAITING: usize = 20;

/// Submits `count` jobs whose inputs begin with `kind`, and returns their ids.
async fn submit(fleet: &Fleet, kind: &str, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..count {
        let job = json!({ "session_id": format!("{kind}-{number}"), "input": format!("{kind} {number};") });
        ids.push(id_of(&fleet.client.submit_until_ok(&job, TIMEOUT).await).to_owned());
    }
    ids
}

/// The worker of each attempt.
fn attempting_workers(job: &Value) -> Vec<&str> {
    let attempts = job["attempts"].as_array().expect("the job has attempts");
    let workers = attempts.iter().map(|attempt| &attempt["worker"]);
    workers.filter_map(Value::as_str).collect()
}

/// Waits for the end of a worker whose calls take longer than the drain time. Asserts that it ends in time.
async fn assert_ends_in_time(worker: &mut Member, sigterm_at: Instant) {
    let exit = worker.wait_exit(TIMEOUT).await;
    let took = sigterm_at.elapsed();
    println!("the worker ended {took:?} after SIGTERM, with a drain time of {DRAIN_TIME:?}");
    assert_eq!(exit.code(), Some(0), "{exit}");
    slowdown::assert_within(
        DRAIN_TIME + EXIT_WITHIN,
        sigterm_at,
        took,
        "the end of the worker after SIGTERM",
    );
    // Within the drain time, the calls could still complete.
    assert!(
        took >= DRAIN_TIME,
        "the worker ended {took:?} after SIGTERM, within its drain time"
    );
}

#[tokio::test]
async fn after_sigterm_quick_calls_complete_and_slow_jobs_run_on_another_worker_without_a_lost_try()
{
    let _guard = test_lock::shared().await;
    let llm = ScriptedLlm::start().await;
    let gate_for = |kind: &'static str| {
        llm.gate_requests(move |request: &ChatRequest| request.last_user_text().starts_with(kind))
    };
    let (quick_gate, slow_gate) = (gate_for("quick"), gate_for("slow"));
    // A job may have one try only, so a release that costs a try would fail its job.
    let fleet = Fleet::builder().workers(1).openai(&llm);
    let fleet = fleet
        .env("FOREBAY_TRIES_MAX", "1")
        .env("FOREBAY_DRAIN_S", DRAIN_TIME.as_secs().to_string())
        .env("FOREBAY_CONCURRENCY", (QUICK + SLOW).to_string());
    let mut fleet = fleet.start().await;
    let quick = submit(&fleet, "quick", QUICK).await;
    let slow = submit(&fleet, "slow", SLOW).await;
    llm.wait_for_requests(QUICK + SLOW).await;
    let waiting = submit(&fleet, "waiting", WAITING).await;
    let (first, second) = (
        fleet.workers[0].name().to_owned(),
        fleet.add_worker().await.name().to_owned(),
    );

    let sigterm_at = slowdown::measure();
    fleet.workers[0].sigterm();
    fleet.workers[0]
        .wait_for_log("the worker stops", TIMEOUT)
        .await;
    // These calls end within the drain time.
    quick_gate.open();
    assert_ends_in_time(&mut fleet.workers[0], sigterm_at).await;
    let client_disconnected = |records: &[Recorded]| {
        records
            .iter()
            .filter(|record| record.client_disconnected())
            .count()
            == SLOW
    };
    llm.wait_for("the end of the released calls", client_disconnected)
        .await;
    slow_gate.open();

    for (number, id) in quick.iter().enumerate() {
        let job = fleet.client.wait(id, TIMEOUT).await;
        assert_eq!(job["status"], "completed", "{job}");
        assert_eq!(attempting_workers(&job), [first.as_str()], "{job}");
        assert_eq!(
            llm.recorded_with(&format!("quick {number};")).len(),
            1,
            "{job}"
        );
    }
    for id in &slow {
        let job = fleet.client.wait(id, TIMEOUT).await;
        assert_eq!(job["status"], "completed", "{job}");
        assert_eq!(
            attempting_workers(&job),
            [first.as_str(), second.as_str()],
            "{job}"
        );
        assert_eq!(job["attempts"][0]["error"]["code"], "released", "{job}");
    }
    for id in &waiting {
        let job = fleet.client.wait(id, TIMEOUT).await;
        assert_eq!(job["status"], "completed", "{job}");
        assert_eq!(attempting_workers(&job), [second.as_str()], "{job}");
    }
    assert_eq!(llm.stats().requests, QUICK + 2 * SLOW + WAITING);
}

#[tokio::test]
async fn a_worker_ends_in_time_although_its_servers_do_not_answer() {
    let _guard = test_lock::shared().await;
    let llm = ScriptedLlm::start().await;
    let gate = llm.gate_all_requests();
    let fleet = Fleet::builder().workers(0).openai(&llm);
    let fleet = fleet
        .env("FOREBAY_TRIES_MAX", "1")
        .env("FOREBAY_DRAIN_S", DRAIN_TIME.as_secs().to_string());
    let mut fleet = fleet.start().await;
    let (mut redis, mut rabbit) = (
        Proxy::start(fleet.redis.port())
            .await
            .expect("the proxy starts"),
        Proxy::start(fleet.rabbit.port())
            .await
            .expect("the proxy starts"),
    );
    let redis_url = redis
        .url_via(&fleet.redis.url())
        .expect("the URL can go through the proxy");
    let amqp_url = rabbit
        .url_via(fleet.vhost.url())
        .expect("the URL can go through the proxy");
    let env = [("REDIS_URL", &*redis_url), ("AMQP_URL", &*amqp_url)];
    let first = fleet.add_worker_with(&env).await.name().to_owned();
    let slow = submit(&fleet, "slow", SLOW).await;
    llm.wait_for_requests(SLOW).await;

    let sigterm_at = slowdown::measure();
    fleet.workers[0].sigterm();
    fleet.workers[0]
        .wait_for_log("the worker stops", TIMEOUT)
        .await;
    redis.stall().await.expect("the proxy stalls");
    rabbit.stall().await.expect("the proxy stalls");
    assert_ends_in_time(&mut fleet.workers[0], sigterm_at).await;

    // The worker could not release its jobs. Even so, its end must not cost the jobs a try.
    let second = fleet.add_worker().await.name().to_owned();
    gate.open();
    for id in &slow {
        let job = fleet.client.wait(id, TIMEOUT).await;
        assert_eq!(job["status"], "completed", "{job}");
        assert_eq!(
            attempting_workers(&job),
            [first.as_str(), second.as_str()],
            "{job}"
        );
        assert_eq!(job["attempts"][0]["error"]["code"], "worker_lost", "{job}");
    }
}
