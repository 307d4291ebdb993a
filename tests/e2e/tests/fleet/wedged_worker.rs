//! A worker that takes messages and runs no job: its `/healthz` fails within 90 s, and that of a healthy worker does not.

use std::time::Duration;

use e2e::{
    fleet::{Fleet, TIMEOUT, poll_until},
    metrics::Admin,
};
use serde_json::json;
use tokio::time::Instant;

use crate::test_lock;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: runs in .ci/full"]
async fn healthz_of_a_wedged_worker_fails_within_90_s() {
    let _guard = test_lock::shared().await;
    let (name, value) = Admin::SETTING;
    let fleet = Fleet::builder().gateways(1).workers(0);
    let mut fleet = fleet.env(name, value).start().await;
    let wedged = fleet
        .add_worker_with(&[("FOREBAY_TEST_DROP_WAKES", "true")])
        .await;
    wedged.allow_wedged();
    let admin = Admin::of(&fleet.workers[0]).await;
    let idle = admin.try_get("/healthz").await.expect("an answer");
    assert_eq!(idle.0, 200, "no job waits: {}", idle.1);

    let began = Instant::now();
    let id = fleet.client.submit_ok(&json!({"input": "Hi."})).await["id"].clone();
    let mut last = (0, String::new());
    let has_failed = async || {
        last = admin.try_get("/healthz").await.expect("an answer");
        last.0 == 503
    };
    assert!(
        poll_until(TIMEOUT, has_failed).await,
        "/healthz still answers {last:?}"
    );
    let took = began.elapsed();
    assert!(
        took < Duration::from_secs(90),
        "/healthz failed only after {took:?}"
    );
    assert!(
        took >= Duration::from_secs(60),
        "/healthz failed after {took:?} already"
    );
    assert!(last.1.contains("worker_wedged"), "{}", last.1);
    assert_eq!(
        admin.scrape().await.value("forebay_worker_wedged"),
        Some(1.0)
    );

    // The process works otherwise: another worker gets the job once the wedged one is gone.
    fleet.workers[0].kill9().await;
    fleet.add_worker().await;
    let id = id.as_str().expect("an id");
    let job = fleet.client.wait(id, TIMEOUT).await;
    assert_eq!(job["status"], "completed", "{job}");
}
