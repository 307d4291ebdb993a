//! Tests of the backlog limit, an unavailable or full store, the limit on bodies, and the health routes.

use faulty_store::{Fault, StoreCall, StoreMode};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use forebay_shared::ids::JobId;
use reqwest::{Body, Method};
use serde_json::json;
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, interval, timeout},
};

use crate::fixture::{
    ApiResponse, Fixture, id_of, job_in_session, lane_without_session, repeat_until,
};

const MIB: usize = 1024 * 1024;

#[tokio::test]
async fn at_the_backlog_limit_submits_are_refused_and_the_gateway_is_not_ready_for_submits() {
    let gateway = Fixture::with_settings(|settings| settings.backlog_max = 3).await;
    gateway.member.presence.clone().renewed_once().await;
    gateway.get("/readyz/submits").await.expect(200);
    let first = gateway.submit_accepted(&job_in_session("s")).await;
    gateway.fill_backlog(3).await;
    let ready = || gateway.get("/readyz/submits");
    let refused = repeat_until(ready, |response| response.status == 503).await;
    refused.expect_problem(503, "backlog_full");
    gateway.get("/healthz").await.expect(200);
    gateway.get("/readyz").await.expect(200);
    gateway
        .submit(&job_in_session("s"))
        .await
        .expect_problem(503, "backlog_full");

    gateway.complete_all("filler").await;
    let cancel = format!("/v1/jobs/{first}/cancel");
    gateway.post(&cancel).await.expect(200);
    repeat_until(ready, |response| response.status == 200).await;
    gateway.submit_accepted(&job_in_session("s")).await;
}

/// When each job was completed.
#[derive(Default)]
struct Drained(Mutex<Vec<Instant>>);

impl Drained {
    fn record(&self) {
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        times.push(Instant::now());
    }

    /// How many jobs were completed per second: since the first one, or in the last `period` if that is shorter.
    fn per_s(&self, period: Duration) -> f64 {
        let times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let first = *times.first().expect("a job was completed");
        let from = first.max(now - period);
        let count = times.iter().filter(|at| **at > from).count();
        count as f64 / (now - from).as_secs_f64()
    }
}

/// Completes one job per `period` and records it in `drained`. After a delay it completes all overdue jobs at once. Never
/// returns.
async fn drain(
    gateway: &Fixture,
    jobs: &mut mpsc::UnboundedReceiver<JobId>,
    period: Duration,
    drained: &Drained,
) {
    let mut drain_interval = interval(period);
    loop {
        drain_interval.tick().await;
        let job = jobs.recv().await.expect("a job to complete");
        gateway
            .complete(&lane_without_session(job), job, "Done.")
            .await;
        drained.record();
    }
}

/// Submits one job after the other until the backlog limit refuses one. Returns the `Retry-After` of the refusal, in
/// seconds.
async fn submit_until_refused(gateway: &Fixture, accepted: &mpsc::UnboundedSender<JobId>) -> u64 {
    loop {
        let response = gateway.submit(&json!({"input": "Hi."})).await;
        if response.status == 503 {
            let retry_after = response
                .header("retry-after")
                .expect("the response has a Retry-After header");
            let seconds = retry_after
                .parse()
                .expect("the value is a number of seconds");
            response.expect_problem(503, "backlog_full");
            return seconds;
        }
        // The receiver is closed only if the test has failed.
        let _ = accepted.send(id_of(&response.expect(202)));
    }
}

#[tokio::test]
async fn retry_after_follows_the_measured_drain_rate() {
    const BACKLOG_MAX: u64 = 400;
    const DRAIN_PERIOD: Duration = Duration::from_millis(300);
    /// Long enough that one job more or less hardly changes the rate.
    const MEASURED_FOR: Duration = Duration::from_secs(6);
    /// The longest time over which the gateway measures the rate.
    const WINDOW: Duration = Duration::from_secs(15);
    /// How long the test waits until the rates agree.
    const TIMEOUT: Duration = Duration::from_secs(300);
    let gateway = Fixture::with_settings(|settings| settings.backlog_max = BACKLOG_MAX).await;
    let gateway = Arc::new(gateway);
    let start = Instant::now();
    let (accepted, mut jobs) = mpsc::unbounded_channel();
    let drained = Drained::default();

    let measuring = async {
        // Several tasks submit, so that the backlog is filled quickly.
        let mut filling = JoinSet::new();
        for _ in 0..8 {
            let (gateway, accepted) = (Arc::clone(&gateway), accepted.clone());
            filling.spawn(async move { submit_until_refused(&gateway, &accepted).await });
        }
        filling.join_all().await;
        tokio::time::sleep_until(start + MEASURED_FOR).await;
        loop {
            let retry_after_s = submit_until_refused(&gateway, &accepted).await as f64;
            // The rate is measured, because `drain` is slower on a busy machine.
            let drained_per_s = drained.per_s(WINDOW);
            // `Retry-After` is the time in which these jobs end: the jobs over the limit, the refused job, and a tenth of the
            // limit. Some jobs may have ended after the gateway read the counts, so at least one job counts as over the limit.
            let jobs_over_limit = (gateway.live_jobs().await + 1).saturating_sub(BACKLOG_MAX);
            let jobs = jobs_over_limit.max(1) + BACKLOG_MAX / 10;
            let expected_s = jobs as f64 / drained_per_s;
            if (retry_after_s - expected_s).abs() / expected_s <= 0.2 {
                return;
            }
            // The gateway reads the counts once a second. After a stall, `drain` may complete the overdue jobs before or after the read.
            let measured = format!(
                "{retry_after_s} s instead of {expected_s:.1} s for {jobs} jobs at {drained_per_s:.1} a second"
            );
            println!("{measured}");
            assert!(start.elapsed() < TIMEOUT, "{measured}");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::select! {
        () = measuring => {}
        () = drain(&gateway, &mut jobs, DRAIN_PERIOD, &drained) => unreachable!("drain does not end"),
    }
}

#[tokio::test]
async fn while_the_store_is_unavailable_its_requests_get_503_and_the_process_stays_healthy() {
    let gateway = Fixture::start().await;
    let id = gateway.submit_accepted(&job_in_session("s")).await;
    for mode in [StoreMode::Down, StoreMode::Hanging] {
        gateway.store.set_mode(mode);
        let requests = async {
            let (job, cancel) = (format!("/v1/jobs/{id}"), format!("/v1/jobs/{id}/cancel"));
            let (wait, submit) = (format!("{job}?wait_s=60"), job_in_session("s"));
            let responses = tokio::join!(
                gateway.submit(&submit),
                gateway.submit_with_key(&submit, "k"),
                gateway.get(&job),
                gateway.get(&wait),
                gateway.post(&cancel),
                gateway.get("/v1/sessions/s"),
                gateway.delete("/v1/sessions/s"),
            );
            for response in <[ApiResponse; 7]>::from(responses) {
                response.expect_problem(503, "store_unavailable");
            }
        };
        timeout(Duration::from_secs(30), requests)
            .await
            .expect("responses within the store timeout");
        gateway.get("/healthz").await.expect(200);
        // `/v1/queues` uses the last sample of the counts until it is too old. The readiness uses the last presence.
        for path in ["/v1/queues", "/readyz", "/readyz/submits"] {
            let failed =
                repeat_until(|| gateway.get(path), |response| response.status != 200).await;
            failed.expect_problem(503, "store_unavailable");
        }
    }
    gateway.store.set_mode(StoreMode::Up);
    gateway.get(&format!("/v1/jobs/{id}")).await.expect(200);
}

#[tokio::test]
async fn after_a_full_store_the_gateway_is_ready_once_a_submit_succeeds() {
    let gateway = Fixture::start().await;
    gateway.member.presence.clone().renewed_once().await;
    gateway.store.plan(StoreCall::Commit, [Fault::Full]);
    gateway
        .submit(&job_in_session("s"))
        .await
        .expect_problem(503, "store_full");
    let expect_readiness = async |status: u16| {
        let answer = gateway.get("/readyz/submits").await;
        if status == 200 {
            answer.expect(200);
        } else {
            answer.expect_problem(status, "store_full");
        }
        gateway.get("/readyz").await.expect(200);
    };
    expect_readiness(503).await;
    gateway.submit_accepted(&job_in_session("s")).await;
    expect_readiness(200).await;
    // The store itself reports that it is full.
    gateway.store.set_mode(StoreMode::Full);
    expect_readiness(503).await;
    let commits = gateway.store.call_count(StoreCall::Commit);
    gateway
        .submit(&job_in_session("s"))
        .await
        .expect_problem(503, "store_full");
    assert_eq!(gateway.store.call_count(StoreCall::Commit), commits);
    gateway.store.set_mode(StoreMode::Up);
    expect_readiness(200).await;
}

#[tokio::test]
async fn a_gateway_that_was_told_to_stop_is_not_ready() {
    let gateway = Fixture::start().await;
    gateway.member.presence.clone().renewed_once().await;
    gateway.get("/readyz").await.expect(200);
    gateway.member.begin_stop();
    for path in ["/readyz", "/readyz/submits"] {
        gateway.get(path).await.expect_problem(503, "stopping");
    }
    gateway.get("/healthz").await.expect(200);
}

#[tokio::test]
async fn a_panic_fails_one_request_only() {
    let gateway = Fixture::start().await;
    let id = gateway.submit_accepted(&job_in_session("s")).await;
    gateway.store.plan(StoreCall::Job, [Fault::Panic]);
    gateway
        .get(&format!("/v1/jobs/{id}"))
        .await
        .expect_problem(500, "internal");
    gateway.get(&format!("/v1/jobs/{id}")).await.expect(200);
}

#[tokio::test]
async fn a_body_of_11_mib_is_refused_and_a_body_of_9_mib_is_accepted() {
    let gateway = Fixture::start().await;
    let body = |bytes: usize| json!({"input": "x".repeat(bytes)}).to_string();
    let chunked = |text: String| {
        let stream = tokio_util::io::ReaderStream::new(std::io::Cursor::new(text));
        Body::wrap_stream(stream)
    };
    for path in ["/v1/jobs", "/v1/jobs/x/cancel", "/nothing"] {
        let with_length = || gateway.request(Method::POST, path).body(body(11 * MIB));
        gateway
            .send_too_large(with_length)
            .await
            .expect_problem(413, "body_too_large");
    }
    let without_length = || {
        gateway
            .request(Method::POST, "/v1/jobs")
            .body(chunked(body(11 * MIB)))
    };
    gateway
        .send_too_large(without_length)
        .await
        .expect_problem(413, "body_too_large");
    assert_eq!(gateway.live_jobs().await, 0);

    let good = gateway
        .request(Method::POST, "/v1/jobs")
        .header("content-type", "application/json")
        .body(body(9 * MIB));
    gateway.send(good).await.expect(202);
    let good = gateway
        .request(Method::POST, "/v1/jobs")
        .header("content-type", "application/json")
        .body(chunked(body(9 * MIB)));
    gateway.send(good).await.expect(202);
}

#[tokio::test]
async fn a_body_whose_values_would_take_too_much_memory_is_refused() {
    let gateway = Fixture::start().await;
    // Two bytes of text for each value, which takes some tens of bytes once it is parsed.
    let list = "1,".repeat(3_000_000);
    let body = format!(r#"{{"input": "Hi.", "extra_body": {{"list": [{list}1]}}}}"#);
    let refused = gateway.submit_text(body).await;
    refused.expect_problem(413, "body_too_large");
    // A body of the same size with few values is accepted.
    let body = format!(r#"{{"input": "{list}"}}"#);
    gateway.submit_text(body).await.expect(202);
    let memory = &gateway.member.memory;
    assert_eq!(
        memory.parsed_bodies.available(),
        memory.parsed_bodies.total()
    );
}
