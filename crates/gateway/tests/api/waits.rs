//! Tests of requests that wait for a job to end, with `wait_s` or `Prefer: wait=`.

use std::{
    iter,
    sync::Arc,
    time::{Duration, Instant},
};

use faulty_store::{Fault, StoreCall};
use forebay_engine::distributed::store::{RedisSettings, RedisStore};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use servers::redis::{Redis, RedisOptions};
use tokio::{task::JoinSet, time::timeout};

use crate::fixture::{ApiResponse, Fixture, id_of, lane_without_session};

/// A response within this time has not waited for 60 s.
const SOON: Duration = Duration::from_secs(30);

/// Returns when a waiting request has subscribed to notices and begins to read its job.
async fn wait_has_begun(gateway: &Fixture) {
    gateway.store.wait_for_calls(StoreCall::Watch, 1).await;
    gateway.store.wait_for_calls(StoreCall::Job, 1).await;
}

#[tokio::test]
async fn a_wait_ends_when_the_job_ends() {
    let gateway = Fixture::start().await;
    let id = gateway.submit_accepted(&json!({"input": "Hi."})).await;
    let path = format!("/v1/jobs/{id}?wait_s=60");
    let waiting = gateway.get(&path);
    let finishing = async {
        wait_has_begun(&gateway).await;
        gateway
            .complete(&lane_without_session(id), id, "Hello.")
            .await;
    };
    let both = async { tokio::join!(waiting, finishing) };
    let (response, ()) = timeout(SOON, both)
        .await
        .expect("a response long before 60 s");
    assert_eq!(response.header("preference-applied"), None);
    assert_eq!(response.expect(200)["status"], "completed");

    let again = timeout(SOON, gateway.get(&path))
        .await
        .expect("a response at once");
    assert_eq!(again.expect(200)["status"], "completed");
}

/// Submits a job with a wait, and completes the job meanwhile. Returns the response.
async fn submit_and_complete(gateway: &Fixture, request: RequestBuilder) -> ApiResponse {
    let waiting = gateway.send(request.json(&json!({"input": "Hi.", "session_id": "s"})));
    let finishing = async {
        wait_has_begun(gateway).await;
        gateway.complete_all("s").await;
    };
    let both = async { tokio::join!(waiting, finishing) };
    let (response, ()) = timeout(SOON, both)
        .await
        .expect("a response long before 60 s");
    response
}

#[tokio::test]
async fn a_submit_that_waits_is_answered_with_the_finished_job() {
    let gateway = Fixture::start().await;
    let request = gateway.request(Method::POST, "/v1/jobs?wait_s=60");
    let response = submit_and_complete(&gateway, request.header("idempotency-key", "k")).await;
    let location = response.header("location").expect("a location").to_owned();
    assert_eq!(response.header("retry-after"), None);
    assert_eq!(response.header("preference-applied"), None);
    assert_eq!(response.header("idempotency-replayed"), None);
    let job = response.expect(200);
    assert_eq!(job["status"], "completed");
    assert_eq!(job["queue"], Value::Null);
    assert_eq!(location, format!("/v1/jobs/{}", id_of(&job)));

    // A repeated submit gets the same job at once: 200 with a wait, and 202 without one.
    let repeat = |path| {
        let request = gateway
            .request(Method::POST, path)
            .header("idempotency-key", "k");
        let job = json!({"input": "Hi.", "session_id": "s"});
        timeout(SOON, gateway.send(request.json(&job)))
    };
    for (path, status) in [("/v1/jobs?wait_s=60", 200), ("/v1/jobs", 202)] {
        let response = repeat(path).await.expect("a response at once");
        assert_eq!(response.header("idempotency-replayed"), Some("true"));
        assert_eq!(response.header("location"), Some(location.as_str()));
        assert_eq!(response.expect(status)["status"], "completed");
    }
}

#[tokio::test]
async fn a_submit_that_waits_too_long_is_answered_with_202() {
    let gateway = Fixture::start().await;
    let submit = |preference: &'static str| {
        let request = gateway
            .request(Method::POST, "/v1/jobs")
            .json(&json!({"input": "Hi."}));
        gateway.send(request.header("prefer", preference))
    };
    let start = Instant::now();
    let response = submit("respond-async, wait=1").await;
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert_eq!(
        response.header("preference-applied"),
        Some("respond-async, wait=1")
    );
    assert!(response.header("retry-after").is_some());
    assert!(response.header("location").is_some());
    assert_eq!(response.expect(202)["status"], "queued");

    let response = submit("respond-async").await;
    assert_eq!(response.header("preference-applied"), Some("respond-async"));
    response.expect(202);

    let request = gateway.request(Method::POST, "/v1/jobs?wait_s=61");
    let refused = gateway.send(request.json(&json!({"input": "Hi."}))).await;
    let problem = refused.expect_problem(422, "invalid_request");
    assert_eq!(problem["errors"][0]["field"], "wait_s");
    assert_eq!(gateway.live_jobs().await, 2);
}

#[tokio::test]
async fn a_submit_whose_wait_fails_is_accepted_all_the_same() {
    let gateway = Fixture::start().await;
    gateway.store.plan(StoreCall::Job, [Fault::Broken]);
    let request = gateway.request(Method::POST, "/v1/jobs?wait_s=60");
    let response = timeout(SOON, gateway.send(request.json(&json!({"input": "Hi."}))));
    let response = response.await.expect("a response at once");
    assert!(response.header("location").is_some());
    assert_eq!(response.expect(202)["status"], "queued");
}

/// A repeated submit of a job that has ended reads it once, and needs no permit to wait.
#[tokio::test]
async fn a_repeated_submit_of_an_ended_job_does_not_wait() {
    let gateway = Fixture::with_settings(|settings| settings.waits_max = 0).await;
    let job = json!({"input": "Hi.", "session_id": "s"});
    gateway.submit_with_key(&job, "k").await.expect(202);
    gateway.complete_all("s").await;
    let reads = gateway.store.call_count(StoreCall::Job);
    let request = gateway.request(Method::POST, "/v1/jobs").json(&job);
    let request = request
        .header("idempotency-key", "k")
        .header("prefer", "wait=60");
    let response = gateway.send(request).await;
    assert_eq!(response.header("retry-after"), None);
    assert_eq!(response.header("preference-applied"), Some("wait=60"));
    assert_eq!(response.expect(200)["status"], "completed");
    assert_eq!(gateway.store.call_count(StoreCall::Job), reads + 1);
}

/// A preference with a wait, and a job that ends within it.
#[tokio::test]
async fn a_submit_confirms_the_wait_that_it_preferred() {
    let gateway = Fixture::start().await;
    let request = gateway.request(Method::POST, "/v1/jobs");
    let response = submit_and_complete(&gateway, request.header("prefer", "wait=60")).await;
    assert_eq!(response.header("preference-applied"), Some("wait=60"));
    response.expect(200);
}

#[tokio::test]
async fn a_wait_that_times_out_shows_the_queued_job() {
    let gateway = Fixture::start().await;
    let id = gateway.submit_accepted(&json!({"input": "Hi."})).await;
    let start = Instant::now();
    let response = gateway.get(&format!("/v1/jobs/{id}?wait_s=1")).await;
    assert!(start.elapsed() >= Duration::from_secs(1));
    assert!(response.header("retry-after").is_some());
    assert_eq!(response.expect(200)["status"], "queued");
}

#[tokio::test]
async fn no_time_limit_of_a_connection_ends_a_wait() {
    let gateway = Fixture::with_settings(|settings| {
        settings.head_timeout_ms = 200;
        settings.idle_timeout_ms = 200;
    })
    .await;
    let id = gateway.submit_accepted(&json!({"input": "Hi."})).await;
    let response = gateway.get(&format!("/v1/jobs/{id}?wait_s=1")).await;
    assert_eq!(response.expect(200)["status"], "queued");
}

#[tokio::test]
async fn a_prefer_header_that_was_applied_is_confirmed() {
    let gateway = Fixture::start().await;
    let id = gateway.submit_accepted(&json!({"input": "Hi."})).await;
    let prefer = |preference: &str| {
        let request = gateway.request(Method::GET, &format!("/v1/jobs/{id}"));
        gateway.send(request.header("prefer", preference))
    };
    let response = prefer("wait=1").await;
    assert_eq!(response.header("preference-applied"), Some("wait=1"));
    assert_eq!(response.expect(200)["status"], "queued");

    gateway
        .complete(&lane_without_session(id), id, "Hello.")
        .await;
    let response = timeout(SOON, prefer("wait=900"))
        .await
        .expect("a response at once");
    assert_eq!(response.header("preference-applied"), Some("wait=60"));
    assert_eq!(prefer("wait=long").await.header("preference-applied"), None);
}

#[tokio::test]
async fn a_wait_out_of_range_is_refused() {
    let gateway = Fixture::start().await;
    let id = gateway.submit_accepted(&json!({"input": "Hi."})).await;
    for wait in ["61", "-1", "x", ""] {
        let response = gateway.get(&format!("/v1/jobs/{id}?wait_s={wait}")).await;
        let problem = response.expect_problem(422, "invalid_request");
        assert_eq!(problem["errors"][0]["field"], "wait_s");
    }
}

#[tokio::test]
async fn a_wait_over_the_limit_is_answered_at_once() {
    let gateway = Fixture::with_settings(|settings| settings.waits_max = 0).await;
    let id = gateway.submit_accepted(&json!({"input": "Hi."})).await;
    let path = format!("/v1/jobs/{id}?wait_s=60");
    let response = timeout(SOON, gateway.get(&path))
        .await
        .expect("a response at once");
    assert_eq!(response.expect(200)["status"], "queued");
}

#[tokio::test]
async fn a_stopping_gateway_answers_waiting_requests() {
    let mut gateway = Fixture::start().await;
    let id = gateway.submit_accepted(&json!({"input": "Hi."})).await;
    let path = format!("/v1/jobs/{id}?wait_s=60");
    let stopping = async {
        wait_has_begun(&gateway).await;
        gateway.stop.cancel();
    };
    let (response, ()) = timeout(SOON, async { tokio::join!(gateway.get(&path), stopping) })
        .await
        .expect("a response long before 60 s");
    assert_eq!(response.expect(200)["status"], "queued");
    timeout(SOON, &mut gateway.server)
        .await
        .expect("the server ends")
        .expect("the server does not panic");
}

#[tokio::test]
async fn a_wait_without_notices_reads_its_job_at_growing_intervals() {
    let gateway = Fixture::start().await;
    let id = gateway.submit_accepted(&json!({"input": "Hi."})).await;
    let no_notices = iter::repeat_with(|| Fault::LoseResponse).take(1_000);
    gateway.store.plan(StoreCall::Watch, no_notices);
    let path = format!("/v1/jobs/{id}?wait_s=60");
    let finishing = async {
        // The job is read at once, and then after 0.25, 0.75 and 1.75 s.
        gateway.store.wait_for_calls(StoreCall::Job, 4).await;
        gateway
            .complete(&lane_without_session(id), id, "Hello.")
            .await;
    };
    let both = async { tokio::join!(gateway.get(&path), finishing) };
    let (response, ()) = timeout(SOON, both)
        .await
        .expect("a response long before 60 s");
    assert_eq!(response.expect(200)["status"], "completed");
    let reads = gateway.store.call_times(StoreCall::Job);
    let pauses: Vec<_> = reads.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses[2] >= Duration::from_millis(900), "{pauses:?}");
}

/// Ends all subscriptions to notices at this Redis server, and forbids new ones.
async fn cut_notices(redis: &Redis) {
    let set_user = ["ACL", "SETUSER", "default", "-subscribe", "-psubscribe"];
    redis.cli(&set_user).await.expect("the user changes");
    let kill = ["CLIENT", "KILL", "TYPE", "pubsub"];
    redis.cli(&kill).await.expect("the connections are killed");
}

#[tokio::test]
async fn waits_work_while_only_the_subscription_to_redis_is_away() {
    const WAITS: usize = 100;
    let redis = Redis::start(RedisOptions::default()).await.unwrap();
    let settings = RedisSettings::new(redis.url());
    let store = RedisStore::connect(&settings).await.unwrap();
    let gateway = Arc::new(Fixture::with_store(Arc::new(store)).await);
    let id = gateway.submit_accepted(&json!({"input": "Hi."})).await;
    let wait = || {
        let gateway = Arc::clone(&gateway);
        async move { gateway.get(&format!("/v1/jobs/{id}?wait_s=60")).await }
    };
    let mut waits = JoinSet::new();
    // Some waits begin before the notices are cut, and some after.
    for _ in 0..WAITS / 2 {
        waits.spawn(wait());
    }
    let has_begun = gateway.store.wait_for_calls(StoreCall::Job, WAITS / 2);
    timeout(SOON, has_begun).await.expect("the waits begin");
    cut_notices(&redis).await;
    for _ in WAITS / 2..WAITS {
        waits.spawn(wait());
    }
    // Each wait reads its job again without a notice.
    let has_read_again = gateway.store.wait_for_calls(StoreCall::Job, 3 * WAITS);
    timeout(SOON, has_read_again)
        .await
        .expect("the waits read their job");
    assert!(
        waits.try_join_next().is_none(),
        "a wait has ended too early"
    );
    let lane = lane_without_session(id);
    gateway.complete(&lane, id, "Hello.").await;
    while let Some(response) = timeout(SOON, waits.join_next())
        .await
        .expect("a response long before 60 s")
    {
        let response = response.expect("the request does not panic");
        assert_eq!(response.expect(200)["status"], "completed");
    }

    // When clients may subscribe again, the gateway can watch a job again.
    let set_user = ["ACL", "SETUSER", "default", "+subscribe", "+psubscribe"];
    redis.cli(&set_user).await.expect("the user changes");
    let id = gateway.submit_accepted(&json!({"input": "Hi."})).await;
    let is_watched = async {
        let topic = forebay_shared::store::Topic::Job(id);
        while gateway.member.store.watch(topic.clone()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(SOON, is_watched)
        .await
        .expect("the topic can be watched");
}
