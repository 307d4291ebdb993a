//! RabbitMQ raises memory alarms, during which it takes no messages. Jobs are accepted up to a time bound and then
//! refused. After the alarm, they run.

use std::time::{Duration, Instant};

use e2e::{
    client::{Client, id_of},
    fleet::{Fleet, LIMIT},
};
use futures_util::future::join_all;
use scripted_provider::ScriptedLlm;
use serde_json::json;
use servers::rabbit::RaisedAlarm;
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use crate::{
    load::Load,
    machine, provider,
    refusal::Refusal,
    returning::wait_until_accepting,
    seed, strikes,
    traffic::{INTERACTIVE_ONLY, Pace, Traffic},
};

/// How long publishes may stay unconfirmed before gateways refuse submits.
const BOUND: Duration = Duration::from_secs(30);
/// The pause between two submits of the client that waits for a gateway's refusal.
const SUBMIT_EVERY: Duration = Duration::from_millis(250);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn during_a_memory_alarm_jobs_are_accepted_up_to_a_bound_and_run_after_it() {
    let _permit = machine::permit().await;
    let seed = seed::of_test();
    let llm = provider::start(seed).await;
    let fleet = Fleet::builder().openai(&llm).own_rabbit().start().await;
    let mut took = Vec::new();
    for n in 1..=strikes::of_long_fault(1) {
        took.push(strike(&fleet, &llm, n, seed).await);
    }
    println!("times from the end of each alarm to the first completed job: {took:?}");
}

/// Raises an alarm during a load and ends it when both gateways refuse submits. Returns the time from the end to the first
/// completed job.
async fn strike(fleet: &Fleet, llm: &ScriptedLlm, n: usize, seed: u64) -> Duration {
    let armed = fleet.rabbit.arm_memory_alarm().await.expect("an alarm");
    let load = Load::start(fleet, &format!("alarm-{n}"), seed).await;
    // The load is accepted within seconds, before the bound. The probes last longer.
    let probes = format!("probe-{n}");
    let probes = Traffic::start(fleet, &probes, INTERACTIVE_ONLY, Pace::PROBES, seed);
    load.wait_until_accepted(1, 4).await;
    let gate = provider::hold(llm, 30).await;
    let raising = Instant::now();
    let alarm = armed.raise().await.expect("an alarm");
    load.assert_struck(llm, &format!("alarm {n} was raised"));
    gate.open();

    let clients = (0..fleet.gateways.len()).map(|gateway| fleet.client_of(gateway));
    let mut accepted = Vec::new();
    for (gateway, (jobs, refusal)) in join_all(clients.map(accepted_until_refused))
        .await
        .into_iter()
        .enumerate()
    {
        println!(
            "alarm {n}: gateway {gateway} accepted {} jobs, and refused {:?} after it began",
            jobs.len(),
            refusal.at.duration_since(raising)
        );
        assert_at_the_bound(&refusal, raising);
        accepted.extend(jobs);
    }
    let took = end(alarm, &fleet.client, accepted).await;
    println!("alarm {n}: the first job was completed {took:?} after its end");
    for gateway in 0..fleet.gateways.len() {
        wait_until_accepting(&fleet.client_of(gateway), LIMIT).await;
    }
    probes.wait_for_more(Pace::PROBES.sessions).await;

    for traffic in [&*load, &probes] {
        for refusal in traffic.refusals() {
            assert_at_the_bound(&refusal, raising);
        }
        assert_eq!(traffic.unanswered(), 0);
    }
    probes.end_in_order(fleet).await;
    load.end_in_order(fleet).await;
    took
}

fn assert_at_the_bound(refusal: &Refusal, raising: Instant) {
    refusal.assert_503(&["dispatch_unhealthy"]);
    let after = refusal.at.duration_since(raising);
    assert!(after >= BOUND, "refused {after:?} after the alarm");
}

/// Submits to a gateway at a steady pace until it refuses. Returns the accepted jobs and the refusal.
async fn accepted_until_refused(client: Client) -> (Vec<String>, Refusal) {
    let mut jobs = Vec::new();
    let began = Instant::now();
    let mut pace = interval(SUBMIT_EVERY);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while began.elapsed() < LIMIT {
        pace.tick().await;
        // These jobs have no session, so they wait for the queue only.
        let answer = client.submit(&json!({ "input": "hello" })).await;
        if answer.status != 202 {
            return (jobs, Refusal::of(&answer));
        }
        jobs.push(id_of(&answer.body).to_owned());
    }
    panic!("all of {} jobs were accepted", jobs.len());
}

/// Ends the alarm; returns the time until the first of these jobs completed. All were accepted during the alarm, and none
/// has run.
async fn end(alarm: RaisedAlarm<'_>, client: &Client, jobs: Vec<String>) -> Duration {
    for id in &jobs {
        let job = client.job(id).await.expect(200);
        assert_eq!(job["status"], "queued", "it ran during the alarm: {job}");
    }
    let mut waits = JoinSet::new();
    for id in jobs {
        let client = client.clone();
        waits.spawn(async move {
            let job = client.wait(&id, LIMIT).await;
            (job, Instant::now())
        });
    }
    // The time starts with the request to end the alarm.
    let ending = Instant::now();
    alarm.end().await.expect("its end");
    let ended = waits.join_all().await;
    for (job, _) in &ended {
        assert_eq!(job["status"], "completed", "{job}");
    }
    let first = ended.iter().map(|(_, at)| *at).min().expect("a job");
    first.duration_since(ending)
}
