//! A busy worker of a fleet gets SIGTERM. Jobs whose calls end within the grace complete. The other jobs run at another
//! worker, and the release costs no try. The process ends some seconds after the grace at the latest, also when its
//! servers do not answer.

use std::time::{Duration, Instant};

use e2e::{
    client::id_of,
    fleet::{Fleet, LIMIT, Member},
};
use scripted_provider::{ChatRequest, Recorded, ScriptedLlm};
use serde_json::{Value, json};
use servers::proxy::Proxy;

use crate::machine;

/// The grace of the worker.
const DRAIN: Duration = Duration::from_secs(3);
/// How long after its grace a process may still run. The README promises 4 s; the rest is for a busy machine.
const EXIT_WITHIN: Duration = Duration::from_secs(15);
const QUICK: usize = 40;
const SLOW: usize = 10;
/// The number of jobs that wait for a free slot of the busy worker.
const WAITING: usize = 20;

async fn submit(fleet: &Fleet, kind: &str, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for n in 0..count {
        let job = json!({ "session_id": format!("{kind}-{n}"), "input": format!("{kind} {n};") });
        ids.push(id_of(&fleet.client.submit_ok(&job).await).to_owned());
    }
    ids
}

/// The worker of each attempt.
fn attempting_workers(job: &Value) -> Vec<&str> {
    let attempts = job["attempts"].as_array().expect("attempts");
    let workers = attempts.iter().map(|attempt| &attempt["worker"]);
    workers.filter_map(Value::as_str).collect()
}

/// Waits for the end of a worker whose calls take longer than its grace, and checks the time since SIGTERM.
async fn assert_ends_in_time(worker: &mut Member, sigterm_at: Instant) {
    let exit = worker.wait_exit(LIMIT).await;
    let took = sigterm_at.elapsed();
    println!("the worker ended {took:?} after SIGTERM, with a grace of {DRAIN:?}");
    assert_eq!(exit.code(), Some(0), "{exit}");
    assert!(took <= DRAIN + EXIT_WITHIN, "{took:?}");
    // Until the grace has passed, the calls could still complete.
    assert!(took >= DRAIN, "{took:?}");
}

#[tokio::test]
async fn sigterm_to_a_busy_worker_costs_no_finished_call_and_no_try() {
    let _machine = machine::beside_others().await;
    let llm = ScriptedLlm::start().await;
    let gate_for = |kind: &'static str| {
        llm.gate_requests(move |request: &ChatRequest| request.last_user_text().starts_with(kind))
    };
    let (quick_gate, slow_gate) = (gate_for("quick"), gate_for("slow"));
    // With one try only, a release that cost a try would fail its job.
    let fleet = Fleet::builder().workers(1).openai(&llm);
    let fleet = fleet
        .env("FOREBAY_TRIES_MAX", "1")
        .env("FOREBAY_DRAIN_S", DRAIN.as_secs().to_string())
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

    let sigterm_at = Instant::now();
    fleet.workers[0].sigterm();
    fleet.workers[0]
        .wait_for_log("the worker stops", LIMIT)
        .await;
    // These calls end within the grace.
    quick_gate.open();
    assert_ends_in_time(&mut fleet.workers[0], sigterm_at).await;
    let hung_up = |records: &[Recorded]| records.iter().filter(|r| r.hung_up()).count() == SLOW;
    llm.wait_for("the end of the released calls", hung_up).await;
    slow_gate.open();

    for (n, id) in quick.iter().enumerate() {
        let job = fleet.client.wait(id, LIMIT).await;
        assert_eq!(job["status"], "completed", "{job}");
        assert_eq!(attempting_workers(&job), [first.as_str()], "{job}");
        assert_eq!(llm.recorded_with(&format!("quick {n};")).len(), 1, "{job}");
    }
    for id in &slow {
        let job = fleet.client.wait(id, LIMIT).await;
        assert_eq!(job["status"], "completed", "{job}");
        assert_eq!(
            attempting_workers(&job),
            [first.as_str(), second.as_str()],
            "{job}"
        );
        assert_eq!(job["attempts"][0]["error"]["code"], "released", "{job}");
    }
    for id in &waiting {
        let job = fleet.client.wait(id, LIMIT).await;
        assert_eq!(job["status"], "completed", "{job}");
        assert_eq!(attempting_workers(&job), [second.as_str()], "{job}");
    }
    assert_eq!(llm.stats().requests, QUICK + 2 * SLOW + WAITING);
}

#[tokio::test]
async fn a_worker_ends_in_time_although_its_servers_do_not_answer() {
    let _machine = machine::beside_others().await;
    let llm = ScriptedLlm::start().await;
    let gate = llm.gate_all_requests();
    let fleet = Fleet::builder().workers(0).openai(&llm);
    let fleet = fleet
        .env("FOREBAY_TRIES_MAX", "1")
        .env("FOREBAY_DRAIN_S", DRAIN.as_secs().to_string());
    let mut fleet = fleet.start().await;
    let (mut redis, mut rabbit) = (
        Proxy::start(fleet.redis.port()).await.expect("a proxy"),
        Proxy::start(fleet.rabbit.port()).await.expect("a proxy"),
    );
    let redis_url = redis.url_via(&fleet.redis.url()).expect("an address");
    let amqp_url = rabbit.url_via(fleet.vhost.url()).expect("an address");
    let env = [("REDIS_URL", &*redis_url), ("AMQP_URL", &*amqp_url)];
    let first = fleet.add_worker_with(&env).await.name().to_owned();
    let slow = submit(&fleet, "slow", SLOW).await;
    llm.wait_for_requests(SLOW).await;

    let sigterm_at = Instant::now();
    fleet.workers[0].sigterm();
    fleet.workers[0]
        .wait_for_log("the worker stops", LIMIT)
        .await;
    redis.stall().await.expect("a stall");
    rabbit.stall().await.expect("a stall");
    assert_ends_in_time(&mut fleet.workers[0], sigterm_at).await;

    // The worker could not release its jobs. Still, its end cost them no try.
    let second = fleet.add_worker().await.name().to_owned();
    gate.open();
    for id in &slow {
        let job = fleet.client.wait(id, LIMIT).await;
        assert_eq!(job["status"], "completed", "{job}");
        assert_eq!(
            attempting_workers(&job),
            [first.as_str(), second.as_str()],
            "{job}"
        );
        assert_eq!(job["attempts"][0]["error"]["code"], "worker_lost", "{job}");
    }
}
