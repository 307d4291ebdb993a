//! A worker cut off from one of its two servers but not from the other: the others go on, with its jobs
//! too where it counts as gone, and it works again once the network does.

use std::time::Duration;

use e2e::{
    fleet::{Fleet, LIMIT},
    scripted::Recorded,
};
use servers::proxy::Proxy;

use crate::{
    machine, provider,
    returning::works_again,
    traffic::{Pace, Traffic},
};

const CUTS: usize = 3;
const PRESENCE: Duration = Duration::from_secs(1);
/// How long a cut lasts at least: long enough for timers to fire, and for a presence to lapse.
const CUT: Duration = Duration::from_secs(4);

/// Cuts the network, or lets it lose everything without a word.
async fn cut(proxy: &mut Proxy, n: usize) {
    if n.is_multiple_of(2) {
        proxy.cut().await;
    } else {
        proxy.stall().await.expect("a stall");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_without_redis_is_replaced_and_comes_back() {
    let _place = machine::place().await;
    let llm = provider::start().await;
    let fleet = Fleet::builder().workers(2).openai(&llm);
    let fleet = fleet.env("FOREBAY_PRESENCE_MS", PRESENCE.as_millis().to_string());
    let mut fleet = fleet.start().await;
    let mut proxy = Proxy::start(fleet.redis.port()).await.expect("a proxy");
    let url = proxy.url_via(&fleet.redis.url()).expect("an address");
    let victim = fleet.add_worker_with(&[("REDIS_URL", &url)]).await;
    let name = victim.name().to_owned();
    works_again(&fleet, &name).await;
    let traffic = Traffic::start(&fleet, Pace::USUAL);

    for n in 0..CUTS {
        let gate = provider::hold(&llm, 30).await;
        let again = provider::asked_again(&llm.recorded());
        cut(&mut proxy, n).await;
        provider::assert_unfinished(&llm, "a worker was cut off from Redis");
        gate.open();
        let what = "calls of others for the jobs that it has";
        let taken_over = |records: &[Recorded]| provider::asked_again(records) > again;
        llm.wait_for_within(LIMIT, what, taken_over).await;
        tokio::time::sleep(CUT).await;
        traffic.goes_on(Pace::USUAL.sessions).await;
        provider::answers_more(&llm, Pace::USUAL.sessions, LIMIT).await;
        proxy.heal().await.expect("the network again");
        works_again(&fleet, &name).await;
    }

    let refused = traffic.refusals();
    assert!(refused.is_empty(), "refused: {refused:?}");
    traffic.end_in_order(&fleet).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_without_rabbitmq_finishes_what_it_has_and_comes_back() {
    let _place = machine::place().await;
    let llm = provider::start().await;
    let fleet = Fleet::builder().workers(2).openai(&llm);
    let mut fleet = fleet.start().await;
    let mut proxy = Proxy::start(fleet.rabbit.port()).await.expect("a proxy");
    let url = proxy.url_via(fleet.vhost.url()).expect("an address");
    let victim = fleet.add_worker_with(&[("AMQP_URL", &url)]).await;
    let name = victim.name().to_owned();
    works_again(&fleet, &name).await;
    let traffic = Traffic::start(&fleet, Pace::USUAL);

    for n in 0..CUTS {
        let gate = provider::hold(&llm, 30).await;
        cut(&mut proxy, n).await;
        provider::assert_unfinished(&llm, "a worker was cut off from RabbitMQ");
        gate.open();
        tokio::time::sleep(CUT).await;
        traffic.goes_on(Pace::USUAL.sessions).await;
        provider::answers_more(&llm, Pace::USUAL.sessions, LIMIT).await;
        proxy.heal().await.expect("the network again");
        works_again(&fleet, &name).await;
    }

    let refused = traffic.refusals();
    assert!(refused.is_empty(), "refused: {refused:?}");
    traffic.end_in_order(&fleet).await;
    // It is present, so nobody takes over what it is at work on, though its messages come to others.
    provider::assert_asked_once(&llm);
}
