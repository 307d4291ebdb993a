//! Limits: the backlog, the store away or full, the size of bodies; health.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
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

use crate::{
    fixture::{Fixture, id_of, solo, turn, until},
    switch_store::Mode,
};

const MIB: usize = 1024 * 1024;

#[tokio::test]
async fn past_the_backlog_bound_submits_are_refused_and_the_gateway_is_not_ready() {
    let gateway = Fixture::with(|settings| settings.backlog_max = 3).await;
    gateway.member.presence.clone().announced().await;
    gateway.get("/readyz").await.expect(200);
    let first = gateway.accepted(&turn("s")).await;
    gateway.fill(3).await;
    let ready = || gateway.get("/readyz");
    let refused = until(ready, |answer| answer.status == 503).await;
    refused.problem(503, "backlog_full");
    gateway.get("/healthz").await.expect(200);
    gateway
        .submit(&turn("s"))
        .await
        .problem(503, "backlog_full");

    gateway.empty("filler").await;
    let cancel = format!("/v1/jobs/{first}/cancel");
    gateway.post(&cancel).await.expect(200);
    until(ready, |answer| answer.status == 200).await;
    gateway.accepted(&turn("s")).await;
}

/// Completes a job every so often, for as long as it is polled, and counts them. What one is late the next ones
/// make up for.
async fn drain(
    gateway: &Fixture,
    jobs: &mut mpsc::UnboundedReceiver<JobId>,
    every: Duration,
    drained: &AtomicU32,
) {
    let mut tick = interval(every);
    loop {
        tick.tick().await;
        let job = jobs.recv().await.expect("a job to complete");
        gateway.complete(&solo(job), job, "Done.").await;
        drained.fetch_add(1, Ordering::Relaxed);
    }
}

/// Submits one job after the other until one is refused for the backlog; the seconds of its `Retry-After`.
async fn submit_until_refused(gateway: &Fixture, accepted: &mpsc::UnboundedSender<JobId>) -> u64 {
    loop {
        let answer = gateway.submit(&json!({"input": "Hi."})).await;
        if answer.status == 503 {
            let told = answer.header("retry-after").expect("Retry-After");
            let seconds = told.parse().expect("seconds");
            answer.problem(503, "backlog_full");
            return seconds;
        }
        // Nobody is there to hear of it only once the test has failed.
        let _ = accepted.send(id_of(&answer.expect(202)));
    }
}

#[tokio::test]
async fn retry_after_is_how_long_the_backlog_takes_at_the_rate_it_drains() {
    const BACKLOG_MAX: u64 = 400;
    const DRAINED_EVERY: Duration = Duration::from_millis(300);
    /// So long that a job more or less in the first or the newest second changes the rate by little; not so
    /// long that the first seconds are forgotten.
    const MEASURED_FOR: Duration = Duration::from_secs(6);
    /// Until what fell behind while it was filled is made up for, and seen in the counts.
    const EVEN_AGAIN: Duration = Duration::from_secs(3);
    let gateway = Fixture::with(|settings| settings.backlog_max = BACKLOG_MAX).await;
    let gateway = Arc::new(gateway);
    let start = Instant::now();
    let (accepted, mut jobs) = mpsc::unbounded_channel();
    let drained = AtomicU32::new(0);

    let asking = async {
        // Several at a time, to fill it before long.
        let mut filling = JoinSet::new();
        for _ in 0..8 {
            let (gateway, accepted) = (Arc::clone(&gateway), accepted.clone());
            filling.spawn(async move { submit_until_refused(&gateway, &accepted).await });
        }
        filling.join_all().await;
        let even = Instant::now() + EVEN_AGAIN;
        tokio::time::sleep_until(even.max(start + MEASURED_FOR)).await;
        let told_s = submit_until_refused(&gateway, &accepted).await;
        // A machine that has other things to do drains more slowly than it was told to.
        // The first job ended as the time began.
        let drained = f64::from(drained.load(Ordering::Relaxed)) - 1.0;
        let drained_per_s = drained / start.elapsed().as_secs_f64();
        (told_s, drained_per_s, gateway.live().await)
    };
    let (told_s, drained_per_s, live) = tokio::select! {
        asked = asking => asked,
        () = drain(&gateway, &mut jobs, DRAINED_EVERY, &drained) => unreachable!("it drains for ever"),
    };

    // What is over the bound with the job that was refused, and a tenth of the bound. Some may have ended
    // since the counts that it was refused by.
    let over = (live + 1).saturating_sub(BACKLOG_MAX).max(1);
    let jobs = over + BACKLOG_MAX / 10;
    let (told_s, expected_s) = (told_s as f64, jobs as f64 / drained_per_s);
    let off = (told_s - expected_s).abs() / expected_s;
    assert!(
        off <= 0.2,
        "{told_s} s instead of {expected_s:.1} s for {jobs} jobs at {drained_per_s:.1} a second"
    );
}

#[tokio::test]
async fn while_the_store_is_away_every_route_says_so() {
    let gateway = Fixture::start().await;
    let id = gateway.accepted(&turn("s")).await;
    for mode in [Mode::Away, Mode::Hanging] {
        gateway.store.set(mode);
        let all = async {
            let (job, cancel) = (format!("/v1/jobs/{id}"), format!("/v1/jobs/{id}/cancel"));
            let (wait, submit) = (format!("{job}?wait_s=60"), turn("s"));
            let answers = tokio::join!(
                gateway.submit(&submit),
                gateway.submit_with_key(&submit, "k"),
                gateway.get(&job),
                gateway.get(&wait),
                gateway.post(&cancel),
                gateway.get("/v1/sessions/s"),
                gateway.delete("/v1/sessions/s"),
            );
            let (a, b, c, d, e, f, g) = answers;
            for answer in [a, b, c, d, e, f, g] {
                answer.problem(503, "store_unavailable");
            }
        };
        timeout(Duration::from_secs(10), all)
            .await
            .expect("an answer within the patience");
        gateway.get("/healthz").await.expect(200);
        // These two live on what was known a moment ago, for a moment.
        for path in ["/v1/queues", "/readyz"] {
            let away = until(|| gateway.get(path), |answer| answer.status != 200).await;
            away.problem(503, "store_unavailable");
        }
    }
    gateway.store.set(Mode::Fine);
    gateway.get(&format!("/v1/jobs/{id}")).await.expect(200);
}

#[tokio::test]
async fn a_full_store_refuses_submits_until_one_succeeds() {
    let gateway = Fixture::start().await;
    gateway.member.presence.clone().announced().await;
    gateway.store.set(Mode::Full);
    gateway.submit(&turn("s")).await.problem(503, "store_full");
    gateway.get("/readyz").await.problem(503, "store_full");
    gateway.store.set(Mode::Fine);
    gateway.accepted(&turn("s")).await;
    gateway.get("/readyz").await.expect(200);
}

#[tokio::test]
async fn a_panic_is_a_problem_of_one_request() {
    let gateway = Fixture::start().await;
    let id = gateway.accepted(&turn("s")).await;
    gateway.store.set(Mode::Panicking);
    gateway
        .get(&format!("/v1/jobs/{id}"))
        .await
        .problem(500, "internal");
    gateway.store.set(Mode::Fine);
    gateway.get(&format!("/v1/jobs/{id}")).await.expect(200);
}

#[tokio::test]
async fn eleven_mib_are_too_much_and_nine_are_not() {
    let gateway = Fixture::start().await;
    let body = |bytes: usize| json!({"input": "x".repeat(bytes)}).to_string();
    let chunked = |text: String| {
        let stream = tokio_util::io::ReaderStream::new(std::io::Cursor::new(text));
        Body::wrap_stream(stream)
    };
    for path in ["/v1/jobs", "/v1/jobs/x/cancel", "/nothing"] {
        let announced = gateway.request(Method::POST, path).body(body(11 * MIB));
        gateway.send(announced).await.problem(413, "body_too_large");
    }
    let unannounced = gateway
        .request(Method::POST, "/v1/jobs")
        .body(chunked(body(11 * MIB)));
    gateway
        .send(unannounced)
        .await
        .problem(413, "body_too_large");
    assert_eq!(gateway.live().await, 0);

    let good = gateway
        .request(Method::POST, "/v1/jobs")
        .body(body(9 * MIB));
    gateway.send(good).await.expect(202);
    let good = gateway
        .request(Method::POST, "/v1/jobs")
        .body(chunked(body(9 * MIB)));
    gateway.send(good).await.expect(202);
}
