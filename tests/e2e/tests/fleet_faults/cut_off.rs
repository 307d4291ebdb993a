//! Workers lose the network to one of their two servers. The other workers continue, and take over the jobs of workers
//! without presence. The workers work again when the network is back.

use std::time::Duration;

use e2e::fleet::{Fleet, LIMIT};
use futures_util::future::join_all;
use scripted_provider::ScriptedLlm;
use servers::proxy::Proxy;

use crate::{
    calls,
    load::Load,
    machine, provider,
    returning::wait_until_working,
    seed,
    traffic::{INTERACTIVE_ONLY, Pace, Traffic},
    workers,
};

const CUTS: usize = 3;
const PRESENCE: Duration = Duration::from_secs(1);
/// The shortest time of a cut: long enough for timers to fire and for a presence to expire.
const CUT: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_without_redis_is_replaced_and_works_again() {
    let _permit = machine::permit().await;
    let seed = seed::of_test();
    let llm = provider::start(seed).await;
    let fleet = Fleet::builder().workers(1).openai(&llm);
    let fleet = fleet.env("FOREBAY_PRESENCE_MS", PRESENCE.as_millis().to_string());
    let mut fleet = fleet.start().await;
    let (server, url) = (fleet.redis.port(), fleet.redis.url());
    let victims = victims(&mut fleet, server, ("REDIS_URL", &url)).await;

    cut_each_under_a_load(&fleet, &llm, victims, seed, async |victim| {
        calls::wait_until_taken_over(&llm, &victim.key, 1).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_without_rabbitmq_finishes_its_jobs_and_works_again() {
    let _permit = machine::permit().await;
    let seed = seed::of_test();
    let llm = provider::start(seed).await;
    let mut fleet = Fleet::builder().workers(1).openai(&llm).start().await;
    let (server, url) = (fleet.rabbit.port(), fleet.vhost.url().to_owned());
    let victims = victims(&mut fleet, server, ("AMQP_URL", &url)).await;

    cut_each_under_a_load(&fleet, &llm, victims, seed, async |_| {}).await;
    // Their presence stays, so other workers do not take over their running jobs, although they get the messages.
    calls::assert_called_once(&llm);
}

/// A worker that reaches one of its servers through a proxy.
struct Victim {
    name: String,
    key: String,
    proxy: Proxy,
}

/// Starts a worker for each cut, with a proxy in front of this server.
async fn victims(fleet: &mut Fleet, server: u16, (variable, url): (&str, &str)) -> Vec<Victim> {
    let mut victims = Vec::new();
    for n in 0..CUTS {
        let proxy = Proxy::start(server).await.expect("a proxy");
        let (key, url) = (workers::key(n), proxy.url_via(url).expect("an address"));
        let env = [(variable, url.as_str()), ("OPENAI_API_KEY", &key)];
        let name = fleet.add_worker_with(&env).await.name().to_owned();
        wait_until_working(fleet, &name).await;
        victims.push(Victim { name, key, proxy });
    }
    victims
}

/// Cuts the victims off during a load, one after the other, each at its share of accepted turns. A cut does not wait for
/// the end of the one before. `is_noticed` ends when the other workers have noticed the cut.
async fn cut_each_under_a_load(
    fleet: &Fleet,
    llm: &ScriptedLlm,
    mut victims: Vec<Victim>,
    seed: u64,
    is_noticed: impl AsyncFn(&Victim),
) {
    // The load may end before the last cut.
    let probes = Traffic::start(fleet, "probe", INTERACTIVE_ONLY, Pace::PROBES, seed);
    let load = Load::start(fleet, "s", seed).await;
    let cuts = victims.iter_mut().enumerate().map(async |(n, victim)| {
        load.wait_until_accepted(n + 1, CUTS + 1).await;
        let gate = provider::hold_of(llm, &victim.key, 5).await;
        cut(&mut victim.proxy, n).await;
        load.assert_struck(llm, &format!("{} was cut off", victim.name));
        gate.open();
        load.wait_for_more(40).await;
        is_noticed(victim).await;
        tokio::join!(
            tokio::time::sleep(CUT),
            probes.wait_for_more(Pace::PROBES.sessions),
            provider::wait_for_replies_of_others(llm, &victim.key, 40, LIMIT),
        );
        victim.proxy.heal().await.expect("the network again");
    });
    join_all(cuts).await;
    for victim in &victims {
        wait_until_working(fleet, &victim.name).await;
    }

    probes.assert_none_refused();
    load.assert_none_refused();
    probes.end_in_order(fleet).await;
    load.end_in_order(fleet).await;
}

/// Cuts the network, or makes it lose all packets.
async fn cut(proxy: &mut Proxy, n: usize) {
    if n.is_multiple_of(2) {
        proxy.cut().await;
    } else {
        proxy.stall().await.expect("a stall");
    }
}
