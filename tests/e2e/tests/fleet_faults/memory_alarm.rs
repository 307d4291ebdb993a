//! RabbitMQ raises a memory alarm and confirms no message until the alarm ends. Gateways accept jobs for a bounded time
//! and then refuse them. The accepted jobs run soon after the end of the alarm.

use std::time::{Duration, Instant};

use e2e::{
    client::{Client, id_of},
    fleet::{Fleet, TIMEOUT},
    slowdown,
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
    load::FaultLoad,
    pace::Pace,
    permits, provider,
    recovery::wait_for_accept,
    refusal::Refusal,
    repeats, seed,
    traffic::{INTERACTIVE_ONLY, Traffic},
};

/// How long a gateway accepts jobs while RabbitMQ confirms no message.
const ACCEPTS_FOR: Duration = Duration::from_secs(30);
/// How much later than [`ACCEPTS_FOR`] a gateway may refuse, on an idle machine. A publish counts as unconfirmed only
/// after some seconds.
const REFUSES_LATE_BY: Duration = Duration::from_secs(15);
/// The longest time from the end of an alarm to the first completed job, on an idle machine. In the same time, gateways
/// must accept jobs again.
const CONTINUES_WITHIN: Duration = Duration::from_secs(10);
/// The interval between the submits of a client that waits until its gateway refuses one.
const SUBMIT_INTERVAL: Duration = Duration::from_millis(250);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn during_a_memory_alarm_jobs_are_accepted_for_a_bounded_time_and_run_after_it() {
    let _permit = permits::for_test().await;
    let seed = seed::from_env_or_random();
    let llm = provider::start(seed).await;
    let fleet = Fleet::builder().openai(&llm).own_rabbit().start().await;
    let mut times = Vec::new();
    for number in 1..=repeats::of_long_fault(1) {
        times.push(raise_and_end_alarm(&fleet, &llm, number, seed).await);
    }
    println!("time from the end of each alarm to the first completed job: {times:?}");
}

/// Raises an alarm during a load, and ends it when both gateways refuse submits. Returns the time from the end
/// of the alarm to the first completed job.
async fn raise_and_end_alarm(
    fleet: &Fleet,
    llm: &ScriptedLlm,
    number: usize,
    seed: u64,
) -> Duration {
    let prepared = fleet
        .rabbit
        .prepare_memory_alarm()
        .await
        .expect("RabbitMQ prepares the alarm");
    let load = FaultLoad::start(fleet, &format!("alarm-{number}"), 1, seed).await;
    // All turns of the load are accepted some seconds after the alarm began. The slow traffic continues until gateways refuse.
    let name = format!("slow-{number}");
    let slow_traffic = Traffic::start(fleet, &name, INTERACTIVE_ONLY, Pace::SLOW, seed);
    load.wait_until_fault_is_due(1).await;
    let gate = provider::stop_calls(llm, 30).await;
    let raising = Instant::now();
    let alarm = prepared.raise().await.expect("RabbitMQ raises the alarm");
    let raised = Instant::now();
    load.assert_fault_during_load(llm, &format!("alarm {number} was raised"));
    gate.open();

    let clients = (0..fleet.gateways.len()).map(|gateway| fleet.client_of(gateway));
    let mut accepted = Vec::new();
    for (gateway, (jobs, refusal)) in join_all(clients.map(accepted_until_refused))
        .await
        .into_iter()
        .enumerate()
    {
        println!(
            "alarm {number}: gateway {gateway} accepted {} jobs and refused a submit {:?} after the alarm began",
            jobs.len(),
            refusal.at.duration_since(raising)
        );
        assert_not_refused_early(&refusal, raising);
        let limit = ACCEPTS_FOR + REFUSES_LATE_BY;
        let accepted_for = refusal.at.duration_since(raised);
        slowdown::assert_within(
            limit,
            raised,
            accepted_for,
            "the first refusal after the alarm began",
        );
        accepted.extend(jobs);
    }
    let took = end_alarm(alarm, &fleet.client, accepted).await;
    for gateway in 0..fleet.gateways.len() {
        wait_for_accept(&fleet.client_of(gateway), CONTINUES_WITHIN).await;
    }
    slow_traffic
        .wait_for_more_accepted(Pace::SLOW.sessions)
        .await;

    for traffic in [&*load, &slow_traffic] {
        let mut refusals = traffic.refusals();
        refusals.retain(|refusal| !refusal.is_caused_by_slow_machine());
        for refusal in refusals {
            assert_not_refused_early(&refusal, raising);
        }
        assert_eq!(traffic.unanswered(), 0, "submits got no answer");
    }
    slow_traffic.finish_in_order(fleet).await;
    load.finish_in_order(fleet).await;
    took
}

/// Asserts that the gateway accepted jobs for long enough before this refusal.
fn assert_not_refused_early(refusal: &Refusal, raising: Instant) {
    refusal.assert_503(&["dispatch_unhealthy"]);
    let after = refusal.at.duration_since(raising);
    assert!(
        after >= ACCEPTS_FOR,
        "the submit was refused already {after:?} after the alarm began"
    );
}

/// Submits to a gateway at a steady pace until it refuses a submit. Returns the ids of the accepted jobs, and the
/// refusal.
async fn accepted_until_refused(client: Client) -> (Vec<String>, Refusal) {
    let mut jobs = Vec::new();
    let began = Instant::now();
    let mut pace = interval(SUBMIT_INTERVAL);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while began.elapsed() < TIMEOUT {
        pace.tick().await;
        // A job without a session waits only for its message, and for no other job.
        let answer = client.submit(&json!({ "input": "hello" })).await;
        if answer.status != 202 {
            return (jobs, Refusal::from_answer(&answer));
        }
        jobs.push(id_of(&answer.body).to_owned());
    }
    panic!(
        "the gateway refused no submit within {TIMEOUT:?} and accepted {} jobs",
        jobs.len()
    );
}

/// Asserts that these jobs, which were accepted during the alarm, have not run yet. Then ends the alarm, and returns the
/// time until a gateway reports the first of the jobs as completed.
async fn end_alarm(alarm: RaisedAlarm<'_>, client: &Client, jobs: Vec<String>) -> Duration {
    for id in &jobs {
        let job = client
            .get_until_ok(&format!("/v1/jobs/{id}"), TIMEOUT)
            .await;
        assert_eq!(
            job["status"], "queued",
            "the job ran during the alarm: {job}"
        );
    }
    let mut waits = JoinSet::new();
    for id in jobs {
        let client = client.clone();
        waits.spawn(async move {
            let job = client.wait(&id, TIMEOUT).await;
            (job, Instant::now())
        });
    }
    // The time is measured from the request to end the alarm, slightly before its end.
    let ending = Instant::now();
    alarm.end().await.expect("RabbitMQ ends the alarm");
    let ended = waits.join_all().await;
    for (job, _) in &ended {
        assert_eq!(job["status"], "completed", "{job}");
    }
    let first = ended
        .iter()
        .map(|(_, time)| *time)
        .min()
        .expect("a job was accepted");
    let took = first.duration_since(ending);
    let what = "the first completed job after the alarm";
    slowdown::assert_within(CONTINUES_WITHIN, ending, took, what);
    took
}
