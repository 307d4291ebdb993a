//! Messages that RabbitMQ loses: all of them, or a few. It costs time, no job.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use e2e::fleet::{Fleet, INTERACTIVE, LIMIT, Load, until};
use serde_json::Value;

use crate::{machine, messages, provider};

const LOAD: Load = Load {
    sessions: 60,
    turns: 3,
    limit: Duration::from_secs(90),
};
/// As few as there need be, since they are looked at again and again.
const FEW: Load = Load {
    sessions: 8,
    ..LOAD
};
const PURGES: usize = 3;
const RECOVERED_WITHIN: Duration = Duration::from_secs(60);
/// Lost one by one, each of another session.
const LOST: u32 = 3;
const DONE_WITHIN: Duration = Duration::from_secs(90);
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn purged_queues_fill_again_within_a_minute() {
    let _place = machine::place().await;
    let llm = provider::start().await;
    let mut fleet = Fleet::builder().workers(0).openai(&llm).start().await;
    let accepted = LOAD.submit(&fleet.client).join_all().await;
    for purge in 1..=PURGES {
        messages::become_ready(&fleet, INTERACTIVE, LOAD.sessions, LIMIT).await;
        fleet.live_jobs_become(LOAD.jobs(), LIMIT).await;
        fleet.vhost.purge(INTERACTIVE).await.expect("a purge");
        let purged = Instant::now();
        let left = messages::ready(&fleet, INTERACTIVE).await;
        assert!(left.is_empty(), "the purge has left {left:?}");
        messages::become_ready(&fleet, INTERACTIVE, LOAD.sessions, RECOVERED_WITHIN).await;
        let took = purged.elapsed();
        println!("purge {purge}: all is ready again after {took:?}");
    }

    // Once more, with workers that find an empty queue.
    fleet.vhost.purge(INTERACTIVE).await.expect("a purge");
    let purged = Instant::now();
    fleet.add_worker().await;
    fleet.add_worker().await;
    fleet.live_jobs_become(0, RECOVERED_WITHIN).await;
    println!("all is done {:?} after the last purge", purged.elapsed());
    LOAD.assert_in_order(&fleet, accepted).await;
    provider::assert_asked_once(&llm);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn single_lost_messages_cost_time_only() {
    let _place = machine::place().await;
    let llm = provider::start().await;
    let mut fleet = Fleet::builder().workers(0).openai(&llm).start().await;
    let accepted = LOAD.submit(&fleet.client).join_all().await;
    messages::become_ready(&fleet, INTERACTIVE, LOAD.sessions, LIMIT).await;
    let lost = fleet.vhost.get_messages(INTERACTIVE, LOST, true).await;
    let began = Instant::now();
    let lost: BTreeSet<String> = lost.expect("messages").iter().map(job_of).collect();
    assert_eq!(lost.len(), LOST as usize, "{lost:?}");
    fleet.live_jobs_become(LOAD.jobs(), LIMIT).await;

    fleet.add_worker().await;
    fleet.add_worker().await;
    // All other sessions do not wait for them.
    let waiting = u64::from(LOST) * LOAD.turns;
    fleet.live_jobs_become(waiting, LIMIT).await;
    println!("all others are done {:?} after the loss", began.elapsed());
    for id in &lost {
        let job = fleet.client.job(id).await.expect(200);
        assert_eq!(job["status"], "queued", "{job}");
    }
    fleet.live_jobs_become(0, DONE_WITHIN).await;
    println!(
        "the lost ones are done {:?} after the loss",
        began.elapsed()
    );
    assert!(began.elapsed() <= DONE_WITHIN, "{:?}", began.elapsed());
    LOAD.assert_in_order(&fleet, accepted).await;
    provider::assert_asked_once(&llm);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_lost_from_a_queue_that_is_not_empty_comes_again() {
    let _place = machine::place().await;
    let llm = provider::start().await;
    let mut fleet = Fleet::builder().workers(0).openai(&llm).start().await;
    let accepted = FEW.submit(&fleet.client).join_all().await;
    messages::become_ready(&fleet, INTERACTIVE, FEW.sessions, LIMIT).await;
    let lost = fleet.vhost.get_messages(INTERACTIVE, LOST, true).await;
    let began = Instant::now();
    let lost: BTreeSet<String> = lost.expect("messages").iter().map(job_of).collect();
    assert_eq!(lost.len(), LOST as usize, "{lost:?}");

    // Nobody sees from outside that they are missing: their timers have to fire again.
    let came_again = async || {
        tokio::time::sleep(BETWEEN_LOOKS).await;
        let ready = messages::ready(&fleet, INTERACTIVE).await;
        let ready: BTreeSet<String> = ready.iter().map(job_of).collect();
        lost.is_subset(&ready)
    };
    assert!(until(DONE_WITHIN, came_again).await, "{lost:?} never came");
    println!("the lost ones came again after {:?}", began.elapsed());
    fleet.live_jobs_become(FEW.jobs(), LIMIT).await;
    fleet.add_worker().await;
    fleet.add_worker().await;
    let took = began.elapsed();
    FEW.assert_in_order(&fleet, accepted).await;
    assert!(took <= DONE_WITHIN, "{took:?}");
    // Those that were not lost were asked for by two messages each.
    provider::assert_asked_once(&llm);
}

/// The job that a message asks for.
fn job_of(message: &Value) -> String {
    let wake = message["payload"].as_str().expect("a payload");
    let wake: Value = serde_json::from_str(wake).expect("a wake");
    wake["job"].as_str().expect("a job").to_owned()
}
