//! Memory alarms of RabbitMQ, during which it confirms no messages. Gateways accept jobs for a bounded time,
//! then refuse them. The jobs run soon after the alarm ends.

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
    pace::Pace,
    permits, provider,
    recovery::wait_for_accept,
    refusal::Refusal,
    repeats, seed,
    traffic::{INTERACTIVE_ONLY, Traffic},
};

/// How long a gateway accepts jobs while RabbitMQ confirms no message.
const ACCEPTS_FOR: Duration = Duration::from_secs(30);
/// The interval between two submits of the client that waits for a gateway's refusal.
const SUBMIT_INTERVAL: Duration = Duration::from_millis(250);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn during_a_memory_alarm_jobs_are_accepted_for_a_bounded_time_and_run_after_it() {
    let _permit = permits::for_test().await;
    let seed = seed::from_env_or_random();
    let llm = provider::start(seed).await;
    let fleet = Fleet::builder().openai(&llm).own_rabbit().start().await;
    let mut took = Vec::new();
    for n in 1..=repeats::of_long_fault(1) {
        took.push(raise_and_end_alarm(&fleet, &llm, n, seed).await);
    }
    println!("time from the end of each alarm to the first completed job: {took:?}");
}

/// Raises an alarm during a load, and ends it when both gateways refuse submits. Returns the time from the end
/// of the alarm to the first completed job.
async fn raise_and_end_alarm(fleet: &Fleet, llm: &ScriptedLlm, n: usize, seed: u64) -> Duration {
    let armed = fleet.rabbit.arm_memory_alarm().await.expect("an alarm");
    let load = Load::start(fleet, &format!("alarm-{n}"), seed).await;
    // The whole load is accepted some seconds after the alarm, long before gateways refuse.
    let probes = format!("probe-{n}");
    let probes = Traffic::start(fleet, &probes, INTERACTIVE_ONLY, Pace::PROBES, seed);
    load.wait_for_fraction(1, 4).await;
    let gate = provider::hold_calls(llm, 30).await;
    let raising = Instant::now();
    let alarm = armed.raise().await.expect("an alarm");
    load.assert_fault_during_load(llm, &format!("alarm {n} was raised"));
    gate.open();

    let clients = (0..fleet.gateways.len()).map(|gateway| fleet.client_of(gateway));
    let mut accepted = Vec::new();
    for (gateway, (jobs, refusal)) in join_all(clients.map(accepted_until_refused))
        .await
        .into_iter()
        .enumerate()
    {
        println!(
            "alarm {n}: gateway {gateway} accepted {} jobs and refused one {:?} after the alarm began",
            jobs.len(),
            refusal.at.duration_since(raising)
        );
        assert_not_refused_early(&refusal, raising);
        accepted.extend(jobs);
    }
    let took = end_alarm(alarm, &fleet.client, accepted).await;
    println!("alarm {n}: the first job was completed {took:?} after the alarm ended");
    for gateway in 0..fleet.gateways.len() {
        wait_for_accept(&fleet.client_of(gateway), LIMIT).await;
    }
    probes.wait_for_more_accepted(Pace::PROBES.sessions).await;

    for traffic in [&*load, &probes] {
        for refusal in traffic.refusals() {
            assert_not_refused_early(&refusal, raising);
        }
        assert_eq!(traffic.unanswered(), 0);
    }
    probes.finish_in_order(fleet).await;
    load.finish_in_order(fleet).await;
    took
}

fn assert_not_refused_early(refusal: &Refusal, raising: Instant) {
    refusal.assert_503(&["dispatch_unhealthy"]);
    let after = refusal.at.duration_since(raising);
    assert!(
        after >= ACCEPTS_FOR,
        "refused only {after:?} after the alarm began"
    );
}

/// Submits to a gateway at a steady pace until it refuses; returns the ids of the accepted jobs, and the
/// refusal.
async fn accepted_until_refused(client: Client) -> (Vec<String>, Refusal) {
    let mut jobs = Vec::new();
    let began = Instant::now();
    let mut ticks = interval(SUBMIT_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while began.elapsed() < LIMIT {
        ticks.tick().await;
        // A job without a session waits for no other job, only for its message.
        let answer = client.submit(&json!({ "input": "hello" })).await;
        if answer.status != 202 {
            return (jobs, Refusal::from_answer(&answer));
        }
        jobs.push(id_of(&answer.body).to_owned());
    }
    panic!("no refusal within {LIMIT:?}: {} jobs accepted", jobs.len());
}

/// Ends the alarm and returns the time until a gateway reports the first of these jobs as completed. All of
/// them were accepted during the alarm and must not have run yet.
async fn end_alarm(alarm: RaisedAlarm<'_>, client: &Client, jobs: Vec<String>) -> Duration {
    for id in &jobs {
        let job = client.job(id).await.expect(200);
        assert_eq!(
            job["status"], "queued",
            "the job ran during the alarm: {job}"
        );
    }
    let mut waits = JoinSet::new();
    for id in jobs {
        let client = client.clone();
        waits.spawn(async move {
            let job = client.wait(&id, LIMIT).await;
            (job, Instant::now())
        });
    }
    // Measured from the request to end the alarm, which is slightly before its end.
    let ending = Instant::now();
    alarm.end().await.expect("the end of the alarm");
    let ended = waits.join_all().await;
    for (job, _) in &ended {
        assert_eq!(job["status"], "completed", "{job}");
    }
    let first = ended.iter().map(|(_, at)| *at).min().expect("a job");
    first.duration_since(ending)
}
