//! Redis is killed or stopped, and started again. During an outage, the routes that need Redis answer 503, and `/healthz`
//! answers 200. After the outage, all accepted jobs complete, and no call is repeated. Each outage lasts two presence TTLs.

use std::time::{Duration, Instant};

use e2e::{
    client::{Answer, Client, id_of},
    fleet::{Fleet, TIMEOUT},
    slowdown,
};
use reqwest::Method;
use serde_json::json;
use tokio::task::JoinSet;

use crate::{calls, load::FaultLoad, permits, provider, refusal::Refusal, seed};

/// The number of restarts.
const RESTARTS: usize = 3;
/// How long Redis is down: twice the default presence TTL.
const OUTAGE: Duration = Duration::from_secs(6);
/// How long a gateway may answer from cached values of the store, on an idle machine.
const CACHED_FOR: Duration = Duration::from_millis(3_500);
/// How long any answer may take, on an idle machine. This also holds for the request with `wait_s=60`.
const ANSWERED_WITHIN: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_is_down_routes_that_need_it_answer_503_and_no_call_is_repeated() {
    let _permit = permits::for_test().await;
    let seed = seed::from_env_or_random();
    let llm = provider::start(seed).await;
    let fleet = Fleet::builder().openai(&llm).start().await;
    let job = json!({ "session_id": "idle", "input": "hello" });
    let job = fleet.client.submit_until_ok(&job, TIMEOUT).await;
    let idle_job = id_of(&job).to_owned();
    fleet.client.wait(&idle_job, TIMEOUT).await;
    let load = FaultLoad::start(&fleet, "s", RESTARTS, seed).await;

    for restart in 1..=RESTARTS {
        load.wait_until_fault_is_due(restart).await;
        let gate = provider::stop_calls(&llm, 20).await;
        let ended = if restart % 2 == 1 {
            fleet.redis.kill9().await
        } else {
            fleet.redis.stop().await
        };
        let down = Instant::now();
        ended.expect("Redis ends");
        load.assert_fault_during_load(&llm, "Redis ended");
        // Half of the calls in flight get their replies while workers cannot commit them.
        gate.release(llm.stats().in_flight / 2);
        let mut routes = JoinSet::new();
        for gateway in 0..fleet.gateways.len() {
            routes.spawn(assert_routes_refuse(
                fleet.client_of(gateway),
                idle_job.clone(),
            ));
        }
        routes.join_all().await;
        let requests_took = down.elapsed();
        tokio::time::sleep(OUTAGE.saturating_sub(requests_took)).await;
        fleet.redis.restart().await.expect("Redis starts");
        println!(
            "restart {restart}: down for {:?}; the requests took {requests_took:?}",
            down.elapsed()
        );
        gate.open();
        load.wait_for_more_accepted(40).await;
        provider::wait_for_replies(&llm, 40, TIMEOUT).await;
    }

    for refusal in load.refusals() {
        refusal.assert_503(&["store_unavailable"]);
    }
    assert_eq!(load.unanswered(), 0, "submits got no answer");
    load.finish_in_order(&fleet).await;
    calls::assert_one_call_per_turn(&llm);
    // The session still exists: the DELETE requests during the outages changed nothing.
    fleet
        .client
        .get_until_ok("/v1/sessions/idle", TIMEOUT)
        .await;
}

/// Asserts that a gateway answers 503 on these routes, which need Redis, and 200 on `/healthz`.
async fn assert_routes_refuse(client: Client, job: String) {
    let path = |suffix: &str| format!("/v1/jobs/{job}{suffix}");
    let mut requests = JoinSet::new();
    for (method, path) in [
        (Method::POST, String::from("/v1/jobs")),
        (Method::GET, path("")),
        (Method::GET, path("?wait_s=60")),
        (Method::POST, path("/cancel")),
        (Method::GET, String::from("/v1/sessions/idle")),
        (Method::DELETE, String::from("/v1/sessions/idle")),
    ] {
        requests.spawn(assert_refuses(client.clone(), method, path, Duration::ZERO));
    }
    for path in ["/v1/queues", "/readyz", "/readyz/submits"] {
        requests.spawn(assert_refuses(
            client.clone(),
            Method::GET,
            path.to_owned(),
            CACHED_FOR,
        ));
    }
    requests.join_all().await;
    // A liveness probe must not restart a gateway because Redis is down.
    client.get("/healthz").await.expect(200);
}

/// Waits until a route refuses, and checks the refusal. The route may answer from the cache for `cached_for`.
async fn assert_refuses(client: Client, method: Method, path: String, cached_for: Duration) {
    let began = Instant::now();
    let answer = loop {
        let requested = began.elapsed();
        let answer = request(&client, &method, &path).await;
        if !answer.status.is_success() {
            break answer;
        }
        let what = format!("{method} {path} from the cache");
        slowdown::assert_within(cached_for, began, requested, &what);
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    let refusal = Refusal::from_answer(&answer);
    println!("{method} {path}: {} {}", refusal.status, refusal.code);
    refusal.assert_503(&["store_unavailable"]);
}

/// Sends a request and returns the answer, which must come in time.
async fn request(client: &Client, method: &Method, path: &str) -> Answer {
    let mut request = client.http().request(method.clone(), client.url_of(path));
    if method == Method::POST {
        request = request.json(&json!({ "session_id": "idle", "input": "hello" }));
    }
    let began = Instant::now();
    let response = request.send().await.expect("the gateway answers");
    let what = format!("{method} {path}");
    slowdown::assert_within(ANSWERED_WITHIN, began, began.elapsed(), &what);
    Answer {
        status: response.status(),
        headers: response.headers().clone(),
        body: response.json().await.expect("the answer is JSON"),
    }
}
