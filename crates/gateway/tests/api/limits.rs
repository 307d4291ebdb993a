//! Limits: the backlog, the store away or full, the size of bodies; health.

use std::time::Duration;

use reqwest::{Body, Method};
use serde_json::json;
use tokio::time::timeout;

use crate::{
    fixture::{Fixture, turn, until},
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
