//! Single messages that RabbitMQ loses. It costs their jobs time, and the others nothing.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use e2e::fleet::{Fleet, INTERACTIVE, LIMIT, until};
use tokio::task::JoinSet;

use crate::{
    calls,
    load::Load,
    machine, messages, provider, seed,
    traffic::{INTERACTIVE_ONLY, Pace, Traffic},
};

/// Lost one by one, each of another session.
const LOST: usize = 3;
/// The timers of lost messages fire after a minute; the rest is for a busy machine.
const DONE_WITHIN: Duration = Duration::from_secs(240);
/// Calls of one worker at a time: so few that messages wait in the queue, to be lost there.
const SLOTS: usize = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn single_lost_messages_cost_time_only() {
    let _place = machine::place().await;
    let seed = seed::of_test();
    let llm = provider::start(seed).await;
    let fleet = Fleet::builder().openai(&llm);
    let fleet = fleet.env("FOREBAY_CONCURRENCY", SLOTS.to_string());
    let fleet = fleet.start().await;
    let load = Load::start(&fleet, "s", seed).await;
    let mut lost = BTreeSet::new();
    let mut losses = JoinSet::new();

    for loss in 1..=LOST {
        load.reaches(loss, LOST + 1).await;
        let gate = provider::hold(&llm, SLOTS * fleet.workers.len()).await;
        for id in messages::lose(&fleet, INTERACTIVE, 1).await {
            let (began, client, job) = (Instant::now(), fleet.client.clone(), id.clone());
            losses.spawn(async move {
                client.wait(&job, DONE_WITHIN).await;
                began.elapsed()
            });
            lost.insert(id);
        }
        load.assert_struck(&llm, "a message was lost");
        gate.open();
        provider::answers_more(&llm, 40, LIMIT).await;
    }
    assert_eq!(lost.len(), LOST, "{lost:?}");

    // All other sessions do not wait for them.
    load.is_accepted().await;
    let waiting = lost.iter().map(|id| Load::TURNS - load.turn_of(id)).sum();
    fleet.live_jobs_become(waiting, LIMIT).await;
    for id in &lost {
        let job = fleet.client.job(id).await.expect(200);
        assert_eq!(job["status"], "queued", "{job}");
    }
    println!("all but {waiting} are done, which are those lost and the turns after them");
    for took in losses.join_all().await {
        println!("a lost one was done {took:?} after the loss");
        assert!(took <= DONE_WITHIN, "{took:?}");
    }
    load.assert_untroubled();
    load.end_in_order(&fleet).await;
    calls::assert_asked_once(&llm);
}

/// As few as there need be, since they are looked at again and again.
const FEW: Pace = Pace {
    sessions: 8,
    turns: 3,
    burst: 3,
    pause: Duration::ZERO,
};
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_lost_from_a_queue_that_is_not_empty_comes_again() {
    let _place = machine::place().await;
    let seed = seed::of_test();
    let llm = provider::start(seed).await;
    let mut fleet = Fleet::builder().workers(0).openai(&llm).start().await;
    let few = Traffic::start(&fleet, "s", INTERACTIVE_ONLY, FEW, seed);
    few.accepts(FEW.all(), LIMIT).await;
    messages::become_ready(&fleet, INTERACTIVE, FEW.sessions, LIMIT).await;
    let lost = messages::lose(&fleet, INTERACTIVE, LOST as u32).await;
    let began = Instant::now();

    // Nobody sees from outside that they are missing: their timers have to fire again.
    let came_again = async || {
        tokio::time::sleep(BETWEEN_LOOKS).await;
        let ready = messages::ready(&fleet, INTERACTIVE).await;
        lost.is_subset(&messages::jobs_of(&ready))
    };
    assert!(until(DONE_WITHIN, came_again).await, "{lost:?} never came");
    println!("the lost ones came again after {:?}", began.elapsed());
    fleet.live_jobs_become(FEW.all() as u64, LIMIT).await;
    fleet.add_worker().await;
    fleet.add_worker().await;
    let took = began.elapsed();
    few.end_in_order(&fleet).await;
    assert!(took <= DONE_WITHIN, "{took:?}");
    // Those that were not lost were asked for by two messages each.
    calls::assert_asked_once(&llm);
}
