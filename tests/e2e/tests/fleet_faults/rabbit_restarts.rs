//! RabbitMQ killed or stopped, and started again: submits are accepted meanwhile, and nothing is lost.

use std::time::{Duration, Instant};

use e2e::fleet::{Fleet, LIMIT};

use crate::{
    machine, provider,
    traffic::{Pace, Traffic},
};

const RESTARTS: usize = 3;
/// RabbitMQ is up again within this time, or the test has tried nothing.
const AWAY_MAX: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_rabbitmq_restarts_no_submit_is_refused_and_nothing_is_lost() {
    let _place = machine::place().await;
    let llm = provider::start().await;
    let fleet = Fleet::builder().workers(3).openai(&llm).own_rabbit();
    let fleet = fleet.start().await;
    let pace = Pace {
        sessions: 30,
        pause: Duration::from_millis(2_500),
    };
    let traffic = Traffic::start(&fleet, pace);

    for restart in 1..=RESTARTS {
        let gate = provider::hold(&llm, 15).await;
        let down = Instant::now();
        let gone = if restart % 2 == 1 {
            fleet.rabbit.kill9().await
        } else {
            fleet.rabbit.stop().await
        };
        gone.expect("the end of the node");
        provider::assert_unfinished(&llm, "RabbitMQ went away");
        // What is answered now cannot wake what comes next in its session.
        gate.open();
        traffic.goes_on(pace.sessions).await;
        fleet.rabbit.restart().await.expect("the node again");
        let away = down.elapsed();
        assert!(away <= AWAY_MAX, "RabbitMQ was away for {away:?}");
        let took = provider::answers_more(&llm, pace.sessions, LIMIT).await;
        println!("restart {restart}: away for {away:?}, goes on {took:?} after it");
    }

    let refused = traffic.refusals();
    assert!(refused.is_empty(), "refused: {refused:?}");
    assert_eq!(traffic.unanswered(), 0);
    traffic.end_in_order(&fleet).await;
    // The workers went on with their calls, and their commits need no broker.
    provider::assert_asked_once(&llm);
}
