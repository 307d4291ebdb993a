//! RabbitMQ is killed or stopped, and started again. Submits are accepted meanwhile, and no job is lost.

use std::time::{Duration, Instant};

use e2e::fleet::{Fleet, LIMIT, Member, until};

use crate::{
    calls,
    load::Load,
    machine, provider, seed, strikes,
    traffic::{INTERACTIVE_ONLY, Pace, Traffic},
};

/// The longest outage of RabbitMQ during which gateways accept submits, with some seconds until they notice it.
const AWAY_MAX: Duration = Duration::from_secs(33);
/// The log message of a process that has connected.
const CONNECTED: &str = "connected to RabbitMQ";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_rabbitmq_restarts_no_submit_is_refused_and_nothing_is_lost() {
    let _permit = machine::permit().await;
    let seed = seed::of_test();
    let llm = provider::start(seed).await;
    let fleet = Fleet::builder().openai(&llm).own_rabbit();
    let fleet = fleet.start().await;
    // The load is accepted before RabbitMQ is back. The probes last longer.
    let probes = Traffic::start(&fleet, "probe", INTERACTIVE_ONLY, Pace::PROBES, seed);
    let mut loads = Vec::new();

    for restart in 1..=strikes::of_long_fault(2) {
        // The permit is held until RabbitMQ is back, because another load would delay its start.
        let machine = machine::load().await;
        let load = Load::start_now(&fleet, &format!("restart-{restart}"), seed);
        load.wait_until_accepted(1, 4).await;
        let gate = provider::hold(&llm, 30).await;
        let down = Instant::now();
        let stops = async {
            if restart % 2 == 1 {
                fleet.rabbit.kill9().await
            } else {
                fleet.rabbit.stop().await
            }
        };
        let struck = async { load.assert_struck(&llm, "RabbitMQ went away") };
        let (gone, ()) = tokio::join!(stops, struck);
        gone.expect("the end of the node");
        // Jobs that end now cannot publish the messages of the next jobs in their sessions.
        gate.open();
        let comes = async { fleet.rabbit.restart().await.expect("the node again") };
        tokio::join!(
            comes,
            load.wait_until_all_accepted(),
            probes.wait_for_more(Pace::PROBES.sessions)
        );
        let away = down.elapsed();
        assert!(away <= AWAY_MAX, "RabbitMQ was away for {away:?}");
        gateways_connect(&fleet, restart).await;
        drop(machine);
        let found = down.elapsed() - away;
        let took = provider::wait_for_replies(&llm, 30, LIMIT).await;
        println!(
            "restart {restart}: away for {away:?}, gateways connected {found:?} later, 30 replies {took:?} later"
        );
        loads.push(load);
    }

    loads.iter().for_each(|load| load.assert_no_failed_submit());
    probes.assert_no_failed_submit();
    probes.end_in_order(&fleet).await;
    for load in loads {
        load.end_in_order(&fleet).await;
    }
    // Running calls continued, and their commits need no broker.
    calls::assert_called_once(&llm);
}

/// Waits until each gateway has logged one connection more than RabbitMQ has restarted. Otherwise the next restart
/// would be a part of the same outage for it.
async fn gateways_connect(fleet: &Fleet, restarts: usize) {
    let has = |gateway: &Member| gateway.logs().matches(CONNECTED).count() > restarts;
    let all = until(LIMIT, async || fleet.gateways.iter().all(has));
    assert!(
        all.await,
        "not all gateways have connected to RabbitMQ again"
    );
}
