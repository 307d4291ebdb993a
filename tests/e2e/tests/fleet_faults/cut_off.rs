//! Workers are cut off from one of their two servers, and stay connected to the other server. Other workers continue,
//! and they run the jobs of a worker that counts as gone. After the cut, the worker runs jobs again.

use std::time::Duration;

use e2e::fleet::{Fleet, TIMEOUT};
use futures_util::future::join_all;
use scripted_provider::ScriptedLlm;
use servers::proxy::Proxy;

use crate::{
    calls::{self, CallsInFlight},
    load::FaultLoad,
    pace::Pace,
    permits, provider,
    recovery::wait_for_work_by,
    seed,
    traffic::{INTERACTIVE_ONLY, Traffic},
    workers,
};

/// The number of workers that are cut off.
const CUTS: usize = 3;
/// The presence TTL: a worker that is cut off from Redis for longer counts as gone.
const PRESENCE_TTL: Duration = Duration::from_secs(1);
/// The shortest time of a cut. It is long enough for the presence of a worker without Redis to expire.
const CUT_MIN: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_jobs_of_a_worker_without_redis_are_taken_over_and_the_worker_recovers() {
    let _permit = permits::for_test().await;
    let seed = seed::from_env_or_random();
    let llm = provider::start(seed).await;
    let fleet = Fleet::builder().workers(1).openai(&llm);
    let fleet = fleet.env("FOREBAY_PRESENCE_MS", PRESENCE_TTL.as_millis().to_string());
    let mut fleet = fleet.start().await;
    let (server_port, url) = (fleet.redis.port(), fleet.redis.url());
    let victims = start_victims(&mut fleet, server_port, ("REDIS_URL", &url)).await;

    cut_each_under_a_load(&fleet, &llm, victims, seed, async |calls| {
        calls.wait_for_takeovers(&llm, 1).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_without_rabbitmq_finishes_its_jobs_and_recovers() {
    let _permit = permits::for_test().await;
    let seed = seed::from_env_or_random();
    let llm = provider::start(seed).await;
    let mut fleet = Fleet::builder().workers(1).openai(&llm).start().await;
    let (server_port, url) = (fleet.rabbit.port(), fleet.vhost.url().to_owned());
    let victims = start_victims(&mut fleet, server_port, ("AMQP_URL", &url)).await;

    cut_each_under_a_load(&fleet, &llm, victims, seed, async |_| {}).await;
    // RabbitMQ redelivers the victims' messages to other workers. But the victims are still present, so no job
    // returns to the queue.
    calls::assert_one_call_per_turn(&llm);
}

/// A worker that is cut off. A proxy is between the worker and one of its servers.
struct Victim {
    name: String,
    key: String,
    proxy: Proxy,
}

/// Starts one worker for each cut, with a proxy in front of the server with this port.
async fn start_victims(
    fleet: &mut Fleet,
    server_port: u16,
    (variable, url): (&str, &str),
) -> Vec<Victim> {
    let mut victims = Vec::new();
    for index in 0..CUTS {
        let proxy = Proxy::start(server_port).await.expect("the proxy starts");
        let (key, url) = (
            workers::key(index),
            proxy
                .url_via(url)
                .expect("the URL can go through the proxy"),
        );
        let env = [(variable, url.as_str()), ("OPENAI_API_KEY", &key)];
        let name = fleet.add_worker_with(&env).await.name().to_owned();
        wait_for_work_by(fleet, &name).await;
        victims.push(Victim { name, key, proxy });
    }
    victims
}

/// Cuts off the workers during a load, each worker once so many turns are accepted that its fault is due. A cut does not wait until the
/// previous worker has recovered. `wait_for_effect` waits until other workers have reacted to a cut. Its argument has
/// the calls that the worker had in flight when it was cut off.
async fn cut_each_under_a_load(
    fleet: &Fleet,
    llm: &ScriptedLlm,
    mut victims: Vec<Victim>,
    seed: u64,
    wait_for_effect: impl AsyncFn(&CallsInFlight),
) {
    // The slow traffic continues after the last turn of the load.
    let slow_traffic = Traffic::start(fleet, "slow", INTERACTIVE_ONLY, Pace::SLOW, seed);
    let load = FaultLoad::start(fleet, "s", CUTS, seed).await;
    let cuts = victims.iter_mut().enumerate().map(async |(index, victim)| {
        load.wait_until_fault_is_due(index + 1).await;
        let gate = provider::stop_calls_and_wait_for_key(llm, &victim.key, 5).await;
        cut(&mut victim.proxy, index).await;
        load.assert_fault_during_load(llm, &format!("{} was cut off", victim.name));
        let calls = CallsInFlight::of(llm, &victim.key);
        gate.open();
        load.wait_for_more_accepted(40).await;
        wait_for_effect(&calls).await;
        tokio::join!(
            tokio::time::sleep(CUT_MIN),
            slow_traffic.wait_for_more_accepted(Pace::SLOW.sessions),
            provider::wait_for_replies_to_other_keys(llm, &victim.key, 40, TIMEOUT),
        );
        victim
            .proxy
            .heal()
            .await
            .expect("the proxy opens its port again");
    });
    join_all(cuts).await;
    for victim in &victims {
        wait_for_work_by(fleet, &victim.name).await;
    }

    slow_traffic.assert_none_refused();
    load.assert_none_refused();
    slow_traffic.finish_in_order(fleet).await;
    load.finish_in_order(fleet).await;
}

/// A cut with an even index closes all connections. A cut with an odd index holds all bytes back and keeps the
/// connections open.
async fn cut(proxy: &mut Proxy, index: usize) {
    if index.is_multiple_of(2) {
        proxy.cut().await;
    } else {
        proxy.stall().await.expect("the proxy stalls");
    }
}
