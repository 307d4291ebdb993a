//! Steps of the clocks of a fleet: of the Redis server, and of the gateways and workers.

use e2e::{
    fake_clock::FakeClock,
    fleet::{Builder, Fleet},
};
use scripted_provider::ScriptedLlm;
use servers::redis::RedisOptions;

use crate::{DAY_S, HOUR_S, OFFSETS_S, RETRY_MS, restart::Interrupted, step};

const WEEK_S: &str = "604800";

/// A gateway and two workers. The clock of the Redis server can be set.
fn builder(redis_clock: &FakeClock, llm: &ScriptedLlm) -> Builder {
    Fleet::builder()
        .gateways(1)
        .workers(2)
        .openai(llm)
        .env("FOREBAY_BACKOFF_MS", RETRY_MS)
        // After a step forward, Redis itself deletes all keys that expire before the new time.
        .env("FOREBAY_SESSION_TTL_S", WEEK_S)
        .env("FOREBAY_RESULT_TTL_S", WEEK_S)
        .redis(RedisOptions {
            env: redis_clock.env(),
            ..RedisOptions::default()
        })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_of_the_clock_of_redis_changes_only_the_times_that_are_shown() {
    let (clock, llm) = (FakeClock::new(), ScriptedLlm::start().await);
    let fleet = builder(&clock, &llm).start().await;
    step::make_idle_session(&fleet.client).await;
    for offset_s in OFFSETS_S {
        let name = format!("to{offset_s}");
        step::check(&fleet.client, &llm, &name, offset_s, || {
            clock.set_offset_s(offset_s);
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: runs in .ci/full"]
async fn steps_of_the_clocks_of_gateways_and_workers_change_nothing() {
    let (redis_clock, clock) = (FakeClock::new(), FakeClock::new());
    let llm = ScriptedLlm::start().await;
    let mut builder = builder(&redis_clock, &llm);
    for (name, value) in clock.env() {
        builder = builder.env(name, value);
    }
    let fleet = builder.start().await;
    step::make_idle_session(&fleet.client).await;
    for offset_s in OFFSETS_S {
        let name = format!("to{offset_s}");
        step::check(&fleet.client, &llm, &name, 0, || {
            clock.set_offset_s(offset_s);
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: runs in .ci/full"]
async fn a_restart_of_all_with_an_earlier_clock_of_redis_continues_all_jobs() {
    let (clock, llm) = (FakeClock::new(), ScriptedLlm::start().await);
    let mut fleet = builder(&clock, &llm).start().await;
    for offset_s in [-HOUR_S, -3 * DAY_S] {
        let name = format!("to{offset_s}");
        let jobs = Interrupted::start(&fleet.client, &llm, &name).await;
        for member in fleet.gateways.iter_mut().chain(&mut fleet.workers) {
            member.kill9().await;
        }
        fleet.redis.kill9().await.expect("Redis ends");
        clock.set_offset_s(offset_s);
        fleet.redis.restart().await.expect("Redis starts");
        fleet.restart_gateway(0).await;
        for worker in 0..fleet.workers.len() {
            fleet.restart_worker(worker).await;
        }
        jobs.assert_completed(&fleet.client, offset_s).await;
    }
}
