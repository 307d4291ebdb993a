//! RabbitMQ killed or stopped, and started again: submits are accepted meanwhile, and nothing is lost.

use std::time::{Duration, Instant};

use e2e::fleet::{Fleet, LIMIT, Member, until};

use crate::{
    calls,
    load::Load,
    machine, provider, seed, strikes,
    traffic::{INTERACTIVE_ONLY, Pace, Traffic},
};

/// RabbitMQ is up again within this time, or the test has tried nothing.
const AWAY_MAX: Duration = Duration::from_secs(30);
/// What a process says of it.
const CONNECTED: &str = "connected to RabbitMQ";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_rabbitmq_restarts_no_submit_is_refused_and_nothing_is_lost() {
    let _place = machine::place().await;
    let seed = seed::of_test();
    let llm = provider::start(seed).await;
    let fleet = Fleet::builder().openai(&llm).own_rabbit();
    let fleet = fleet.start().await;
    // A load is accepted before RabbitMQ is back.
    let probes = Traffic::start(&fleet, "probe", INTERACTIVE_ONLY, Pace::PROBES, seed);
    let mut loads = Vec::new();

    for restart in 1..=strikes::of_long_fault(2) {
        // Until RabbitMQ is back, which another load beside it would put off for long.
        let machine = machine::load().await;
        let load = Load::start_now(&fleet, &format!("restart-{restart}"), seed);
        load.reaches(1, 4).await;
        let gate = provider::hold(&llm, 30).await;
        let down = Instant::now();
        let goes = async {
            if restart % 2 == 1 {
                fleet.rabbit.kill9().await
            } else {
                fleet.rabbit.stop().await
            }
        };
        let struck = async { load.assert_struck(&llm, "RabbitMQ went away") };
        let (gone, ()) = tokio::join!(goes, struck);
        gone.expect("the end of the node");
        // What is answered now cannot wake what comes next in its session.
        gate.open();
        let comes = async { fleet.rabbit.restart().await.expect("the node again") };
        tokio::join!(
            comes,
            load.is_accepted(),
            probes.goes_on(Pace::PROBES.sessions)
        );
        let away = down.elapsed();
        assert!(away <= AWAY_MAX, "RabbitMQ was away for {away:?}");
        gateways_find_it(&fleet, restart).await;
        drop(machine);
        let found = down.elapsed() - away;
        let took = provider::answers_more(&llm, 30, LIMIT).await;
        println!(
            "restart {restart}: away for {away:?}, the gateways have found it {found:?} later, 30 replies {took:?} later"
        );
        loads.push(load);
    }

    loads.iter().for_each(|load| load.assert_untroubled());
    probes.assert_untroubled();
    probes.end_in_order(&fleet).await;
    for load in loads {
        load.end_in_order(&fleet).await;
    }
    // The workers went on with their calls, and their commits need no broker.
    calls::assert_asked_once(&llm);
}

/// Waits until each gateway has logged one connection more than RabbitMQ has restarted. Otherwise the next restart
/// would be a part of the same outage for it.
async fn gateways_find_it(fleet: &Fleet, restarts: usize) {
    let has = |gateway: &Member| gateway.logs().matches(CONNECTED).count() > restarts;
    let all = until(LIMIT, async || fleet.gateways.iter().all(has));
    assert!(all.await, "not all gateways have found RabbitMQ again");
}
