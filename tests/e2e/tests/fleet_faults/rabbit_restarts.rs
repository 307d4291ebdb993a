//! RabbitMQ is killed or stopped, and started again. During the outage gateways accept submits for 30 s, and no job is lost.

use std::{
    ops::RangeInclusive,
    time::{Duration, Instant},
};

use e2e::{
    fleet::{Fleet, Member, TIMEOUT, poll_until},
    slowdown,
};

use crate::{
    calls,
    load::FaultLoad,
    pace::Pace,
    permits, provider, repeats, seed,
    traffic::{INTERACTIVE_ONLY, Traffic},
};

/// How long gateways accept all submits in an outage. On a busy machine, an outage can last longer, and submits may then be
/// refused.
const ACCEPTS_FOR: Duration = Duration::from_secs(30);
/// How long a gateway may take to reconnect, on an idle machine.
const RECONNECTED_WITHIN: Duration = Duration::from_secs(10);
/// A process's log message about a new connection.
const CONNECTED: &str = "connected to RabbitMQ";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_rabbitmq_restarts_no_submit_is_refused_for_30_s_and_no_job_is_lost() {
    let _permit = permits::for_test().await;
    let seed = seed::from_env_or_random();
    let llm = provider::start(seed).await;
    let fleet = Fleet::builder().openai(&llm).own_rabbit();
    let fleet = fleet.start().await;
    // All turns of a load may be accepted before RabbitMQ is up again, so the slow traffic submits until the end of the outage.
    let slow_traffic = Traffic::start(&fleet, "slow", INTERACTIVE_ONLY, Pace::SLOW, seed);
    let mut loads = Vec::new();
    let mut outages = Vec::new();

    for restart in 1..=repeats::of_long_fault(2) {
        // The permit is kept until RabbitMQ is up again, because another load would slow down its start.
        let permit = permits::for_load().await;
        let load = FaultLoad::start_now(&fleet, &format!("restart-{restart}"), 1, seed);
        load.wait_until_fault_is_due(1).await;
        let gate = provider::stop_calls(&llm, 30).await;
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
        ended.expect("RabbitMQ ends");
        // When these calls end, the next jobs of their sessions are ready, but no message can be published for them.
        gate.open();
        let start = async { fleet.rabbit.restart().await.expect("RabbitMQ starts") };
        tokio::join!(
            start,
            load.wait_for_all_accepted(),
            slow_traffic.wait_for_more_accepted(Pace::SLOW.sessions)
        );
        let outage = down.elapsed();
        wait_for_reconnects(&fleet, restart).await;
        drop(permit);
        let reconnected = down.elapsed() - outage;
        let replied = provider::wait_for_replies(&llm, 30, TIMEOUT).await;
        println!(
            "restart {restart}: down for {outage:?}, gateways reconnected after another {reconnected:?}, 30 replies took another {replied:?}"
        );
        loads.push(load);
        outages.push(down..=Instant::now());
    }

    for traffic in loads.iter().map(|load| &**load).chain([&slow_traffic]) {
        assert_not_refused_early(traffic, &outages);
    }
    slow_traffic.finish_in_order(&fleet).await;
    for load in loads {
        load.finish_in_order(&fleet).await;
    }
    // A commit needs no broker, so workers finished the calls that ran during an outage.
    calls::assert_one_call_per_turn(&llm);
}

/// Asserts that each submit got an answer, and that none was refused, except after [`ACCEPTS_FOR`] of an outage or because of a
/// slow machine.
fn assert_not_refused_early(traffic: &Traffic, outages: &[RangeInclusive<Instant>]) {
    let mut refusals = traffic.refusals();
    refusals.retain(|refusal| !refusal.is_caused_by_slow_machine());
    for refusal in refusals {
        refusal.assert_503(&["dispatch_unhealthy"]);
        let accepts_until = |outage: &RangeInclusive<Instant>| *outage.start() + ACCEPTS_FOR;
        let is_allowed = |outage: &RangeInclusive<Instant>| {
            outage.contains(&refusal.at) && refusal.at >= accepts_until(outage)
        };
        assert!(
            outages.iter().any(is_allowed),
            "a submit was refused without an outage, or within the first {ACCEPTS_FOR:?} of one: {refusal:?}; the outages: {outages:?}"
        );
    }
    assert_eq!(traffic.unanswered(), 0, "submits got no answer");
}

/// Waits until each gateway has logged a connection for its start and for each restart of RabbitMQ. For a gateway
/// without a connection, the next restart would be part of the same outage.
async fn wait_for_reconnects(fleet: &Fleet, restarts: usize) {
    let has_reconnected = |gateway: &Member| gateway.logs().matches(CONNECTED).count() > restarts;
    let began = Instant::now();
    let all = poll_until(TIMEOUT, async || fleet.gateways.iter().all(has_reconnected));
    assert!(all.await, "a gateway did not reconnect within {TIMEOUT:?}");
    let what = "the reconnection of all gateways";
    slowdown::assert_within(RECONNECTED_WITHIN, began, began.elapsed(), what);
}
