//! Workers cut off from one of their two servers but not from the other: the others go on, with their jobs
//! too where they count as gone, and they work again once the network does.

use std::time::Duration;

use e2e::fleet::{Fleet, LIMIT};
use futures_util::future::join_all;
use scripted_provider::ScriptedLlm;
use servers::proxy::Proxy;

use crate::{
    calls,
    load::Load,
    machine, provider,
    returning::works_again,
    seed,
    traffic::{INTERACTIVE_ONLY, Pace, Traffic},
    workers,
};

const CUTS: usize = 3;
const PRESENCE: Duration = Duration::from_secs(1);
/// How long a cut lasts at least: long enough for timers to fire, and for a presence to lapse.
const CUT: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_without_redis_is_replaced_and_comes_back() {
    let _place = machine::place().await;
    let seed = seed::of_test();
    let llm = provider::start(seed).await;
    let fleet = Fleet::builder().workers(1).openai(&llm);
    let fleet = fleet.env("FOREBAY_PRESENCE_MS", PRESENCE.as_millis().to_string());
    let mut fleet = fleet.start().await;
    let (server, url) = (fleet.redis.port(), fleet.redis.url());
    let victims = victims(&mut fleet, server, ("REDIS_URL", &url)).await;

    cut_each_under_a_load(&fleet, &llm, victims, seed, async |victim| {
        calls::are_taken_over(&llm, &victim.key, 1).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_without_rabbitmq_finishes_what_it_has_and_comes_back() {
    let _place = machine::place().await;
    let seed = seed::of_test();
    let llm = provider::start(seed).await;
    let mut fleet = Fleet::builder().workers(1).openai(&llm).start().await;
    let (server, url) = (fleet.rabbit.port(), fleet.vhost.url().to_owned());
    let victims = victims(&mut fleet, server, ("AMQP_URL", &url)).await;

    cut_each_under_a_load(&fleet, &llm, victims, seed, async |_| {}).await;
    // They are present, so nobody takes over what they are at work on, though their messages come to others.
    calls::assert_asked_once(&llm);
}

/// A worker that reaches one of its servers by way of a proxy.
struct Victim {
    name: String,
    key: String,
    proxy: Proxy,
}

/// Starts as many workers as there are cuts, each with a proxy before this server.
async fn victims(fleet: &mut Fleet, server: u16, (variable, url): (&str, &str)) -> Vec<Victim> {
    let mut victims = Vec::new();
    for n in 0..CUTS {
        let proxy = Proxy::start(server).await.expect("a proxy");
        let (key, url) = (workers::key(n), proxy.url_via(url).expect("an address"));
        let env = [(variable, url.as_str()), ("OPENAI_API_KEY", &key)];
        let name = fleet.add_worker_with(&env).await.name().to_owned();
        works_again(fleet, &name).await;
        victims.push(Victim { name, key, proxy });
    }
    victims
}

/// Cuts one after the other off while a load is submitted, each when its part of it is accepted; no submit
/// waits for the one before to come back. `is_felt` ends when others have felt that a victim is away.
async fn cut_each_under_a_load(
    fleet: &Fleet,
    llm: &ScriptedLlm,
    mut victims: Vec<Victim>,
    seed: u64,
    is_felt: impl AsyncFn(&Victim),
) {
    // For the time after the last turn of the load.
    let probes = Traffic::start(fleet, "probe", INTERACTIVE_ONLY, Pace::PROBES, seed);
    let load = Load::start(fleet, "s", seed).await;
    let cuts = victims.iter_mut().enumerate().map(async |(n, victim)| {
        load.reaches(n + 1, CUTS + 1).await;
        let gate = provider::hold_of(llm, &victim.key, 5).await;
        cut(&mut victim.proxy, n).await;
        load.assert_struck(llm, &format!("{} was cut off", victim.name));
        gate.open();
        load.goes_on(40).await;
        is_felt(victim).await;
        tokio::join!(
            tokio::time::sleep(CUT),
            probes.goes_on(Pace::PROBES.sessions),
            provider::answers_others_more(llm, &victim.key, 40, LIMIT),
        );
        victim.proxy.heal().await.expect("the network again");
    });
    join_all(cuts).await;
    for victim in &victims {
        works_again(fleet, &victim.name).await;
    }

    probes.assert_none_refused();
    load.assert_none_refused();
    probes.end_in_order(fleet).await;
    load.end_in_order(fleet).await;
}

/// Cuts the network, or lets it lose everything without a word.
async fn cut(proxy: &mut Proxy, n: usize) {
    if n.is_multiple_of(2) {
        proxy.cut().await;
    } else {
        proxy.stall().await.expect("a stall");
    }
}
