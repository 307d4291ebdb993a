//! RabbitMQ is killed or stopped, and started again. Gateways accept submits meanwhile, and no job is lost.

use std::time::{Duration, Instant};

use e2e::fleet::{Fleet, LIMIT, Member, until};

use crate::{
    calls,
    load::Load,
    pace::Pace,
    permits, provider, repeats, seed,
    traffic::{INTERACTIVE_ONLY, Traffic},
};

/// The longest outage during which gateways accept submits: 30 s, and some seconds until they notice it.
const OUTAGE_MAX: Duration = Duration::from_secs(33);
/// A process's log message about a new connection.
const CONNECTED: &str = "connected to RabbitMQ";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_rabbitmq_restarts_no_submit_is_refused_and_no_job_is_lost() {
    let _permit = permits::for_test().await;
    let seed = seed::from_env_or_random();
    let llm = provider::start(seed).await;
    let fleet = Fleet::builder().openai(&llm).own_rabbit();
    let fleet = fleet.start().await;
    // A load is fully accepted before RabbitMQ is up again, so these submits cover the rest of the outage.
    let probes = Traffic::start(&fleet, "probe", INTERACTIVE_ONLY, Pace::PROBES, seed);
    let mut loads = Vec::new();

    for restart in 1..=repeats::of_long_fault(2) {
        // Kept until RabbitMQ is up again: another load would slow its start down.
        let permit = permits::for_load().await;
        let load = Load::start_now(&fleet, &format!("restart-{restart}"), seed);
        load.wait_for_fraction(1, 4).await;
        let gate = provider::hold_calls(&llm, 30).await;
        let down = Instant::now();
        let end = async {
            if restart % 2 == 1 {
                fleet.rabbit.kill9().await
            } else {
                fleet.rabbit.stop().await
            }
        };
        let check = async { load.assert_fault_during_load(&llm, "RabbitMQ ended") };
        let (ended, ()) = tokio::join!(end, check);
        ended.expect("the end of the node");
        // No message can be published now for the jobs that follow these calls in their sessions.
        gate.open();
        let start = async { fleet.rabbit.restart().await.expect("a start of the node") };
        tokio::join!(
            start,
            load.wait_for_all_accepted(),
            probes.wait_for_more_accepted(Pace::PROBES.sessions)
        );
        let outage = down.elapsed();
        assert!(outage <= OUTAGE_MAX, "RabbitMQ was down for {outage:?}");
        wait_for_reconnects(&fleet, restart).await;
        drop(permit);
        let reconnected = down.elapsed() - outage;
        let replied = provider::wait_for_replies(&llm, 30, LIMIT).await;
        println!(
            "restart {restart}: down for {outage:?}, gateways reconnected {reconnected:?} later, 30 replies {replied:?} later"
        );
        loads.push(load);
    }

    loads
        .iter()
        .for_each(|load| load.assert_all_submits_accepted());
    probes.assert_all_submits_accepted();
    probes.finish_in_order(&fleet).await;
    for load in loads {
        load.finish_in_order(&fleet).await;
    }
    // Workers finished the calls that ran during an outage: a commit needs no broker.
    calls::assert_one_call_per_turn(&llm);
}

/// Waits until each gateway has logged a connection for its start and for each restart of RabbitMQ. A gateway
/// without a connection would see the next restart as a part of the same outage.
async fn wait_for_reconnects(fleet: &Fleet, restarts: usize) {
    let has = |gateway: &Member| gateway.logs().matches(CONNECTED).count() > restarts;
    let all = until(LIMIT, async || fleet.gateways.iter().all(has));
    assert!(all.await, "a gateway did not reconnect within {LIMIT:?}");
}
