//! Redis is killed or stopped, and started again. Every route reports the outage, accepted jobs complete, and no call is
//! made twice, although each outage is as long as two presence times.

use std::time::{Duration, Instant};

use e2e::{
    client::{Answer, Client, id_of},
    fleet::{Fleet, LIMIT},
};
use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;

use crate::{calls, load::Load, machine, provider, refusal::Refusal, seed};

const RESTARTS: usize = 3;
/// Two default presence times.
const AWAY: Duration = Duration::from_secs(6);
/// How long a gateway may answer from counts that it read before the outage.
const KNOWN_FOR: Duration = Duration::from_secs(30);
/// How long any answer may take: some seconds, and more on a busy machine, but less than a `wait_s` of 60.
const ANSWERED_WITHIN: Duration = Duration::from_secs(40);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_is_away_every_route_refuses_and_no_call_is_made_twice() {
    let _permit = machine::permit().await;
    let seed = seed::of_test();
    let llm = provider::start(seed).await;
    let fleet = Fleet::builder().openai(&llm).start().await;
    let job = json!({ "session_id": "idle", "input": "hello" });
    let job = fleet.client.submit_ok(&job).await;
    let idle_job = id_of(&job).to_owned();
    fleet.client.wait(&idle_job, LIMIT).await;
    let load = Load::start(&fleet, "s", seed).await;

    for restart in 1..=RESTARTS {
        load.wait_until_accepted(restart, RESTARTS + 1).await;
        let gate = provider::hold(&llm, 20).await;
        let gone = if restart % 2 == 1 {
            fleet.redis.kill9().await
        } else {
            fleet.redis.stop().await
        };
        let down = Instant::now();
        gone.expect("the end of Redis");
        load.assert_struck(&llm, "Redis went away");
        // Half of the calls in flight end while there is no store for their replies.
        gate.release(llm.stats().in_flight / 2);
        let mut routes = JoinSet::new();
        for n in 0..fleet.gateways.len() {
            routes.spawn(every_route_refuses(fleet.client_of(n), idle_job.clone()));
        }
        routes.join_all().await;
        let told = down.elapsed();
        tokio::time::sleep(AWAY.saturating_sub(told)).await;
        fleet.redis.restart().await.expect("Redis again");
        println!(
            "restart {restart}: away for {:?}, {told:?} of it to ask every route",
            down.elapsed()
        );
        gate.open();
        load.wait_for_more(40).await;
        provider::wait_for_replies(&llm, 40, LIMIT).await;
    }

    for refusal in load.refusals() {
        refusal.assert_503(&["store_unavailable"]);
    }
    assert_eq!(load.unanswered(), 0, "a gateway gave no answer");
    load.end_in_order(&fleet).await;
    calls::assert_called_once(&llm);
    // The requests during the outages had no effect.
    fleet.client.session("idle").await.expect(200);
}

async fn every_route_refuses(client: Client, job: String) {
    let path = |rest: &str| format!("/v1/jobs/{job}{rest}");
    let mut asks = JoinSet::new();
    for (method, path) in [
        (Method::POST, String::from("/v1/jobs")),
        (Method::GET, path("")),
        (Method::GET, path("?wait_s=60")),
        (Method::POST, path("/cancel")),
        (Method::GET, String::from("/v1/sessions/idle")),
        (Method::DELETE, String::from("/v1/sessions/idle")),
    ] {
        asks.spawn(refuses(client.clone(), method, path, Duration::ZERO));
    }
    for path in ["/v1/queues", "/readyz"] {
        asks.spawn(refuses(
            client.clone(),
            Method::GET,
            path.to_owned(),
            KNOWN_FOR,
        ));
    }
    asks.join_all().await;
    // An outage of Redis is no reason to restart a gateway.
    client.get("/healthz").await.expect(200);
}

/// Waits until a route refuses, for at most `known`, and checks the refusal.
async fn refuses(client: Client, method: Method, path: String, known: Duration) {
    let deadline = Instant::now() + known;
    let answer = loop {
        let answer = ask(&client, &method, &path).await;
        if !answer.status.is_success() || Instant::now() >= deadline {
            break answer;
        }
        // The pause of a client between two polls.
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let refusal = Refusal::of(&answer);
    println!("{method} {path}: {} {}", refusal.status, refusal.code);
    refusal.assert_503(&["store_unavailable"]);
}

async fn ask(client: &Client, method: &Method, path: &str) -> Answer {
    let mut request = client.http().request(method.clone(), client.at(path));
    if method == Method::POST {
        request = request.json(&json!({ "session_id": "idle", "input": "hello" }));
    }
    let began = Instant::now();
    let response = request.send().await.expect("an answer");
    let took = began.elapsed();
    assert!(took <= ANSWERED_WITHIN, "{method} {path} took {took:?}");
    Answer {
        status: response.status(),
        headers: response.headers().clone(),
        body: response.json().await.expect("JSON"),
    }
}
