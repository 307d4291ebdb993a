//! A wedged worker takes messages and runs no job. Its `/healthz` fails within 90 s; the `/healthz` of a healthy worker does not fail.

use std::time::Duration;

use e2e::{
    fleet::{Fleet, TIMEOUT, poll_until},
    metrics::Admin,
};
use serde_json::json;
use tokio::time::Instant;

use crate::test_lock;

/// Makes a worker take messages and run no job.
const DROPS_WAKES: &str = "FOREBAY_TEST_DROP_WAKES";
/// Makes a worker lose each message that RabbitMQ delivers to it.
const LOSES_WAKES: &str = "FOREBAY_TEST_LOSE_WAKES";

/// A gateway, and one worker that runs no job because of this setting.
async fn start_wedged(setting: &str) -> (Fleet, Admin) {
    let (name, value) = Admin::SETTING;
    let fleet = Fleet::builder().gateways(1).workers(0);
    let mut fleet = fleet.env(name, value).start().await;
    fleet
        .add_worker_with(&[(setting, "true")])
        .await
        .allow_wedged();
    let admin = Admin::of(&fleet.workers[0]).await;
    let idle = admin
        .try_get("/healthz")
        .await
        .expect("the process answers");
    assert_eq!(
        idle.0, 200,
        "/healthz fails although no job waits: {}",
        idle.1
    );
    (fleet, admin)
}

/// Waits until `/healthz` of the wedged worker fails, and checks that this takes 60 to 90 s.
async fn fails_in_time(admin: &Admin, began: Instant) {
    let mut last = (0, String::new());
    let has_failed = async || {
        last = admin
            .try_get("/healthz")
            .await
            .expect("the process answers");
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
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: runs in .ci/full"]
async fn healthz_of_a_wedged_worker_fails_within_90_s() {
    wedged_worker_is_found_and_replaced(DROPS_WAKES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: runs in .ci/full"]
async fn healthz_of_a_worker_that_gets_no_messages_fails_within_90_s() {
    wedged_worker_is_found_and_replaced(LOSES_WAKES).await;
}

async fn wedged_worker_is_found_and_replaced(setting: &str) {
    let _guard = test_lock::shared().await;
    let (mut fleet, admin) = start_wedged(setting).await;
    let began = Instant::now();
    let id = fleet
        .client
        .submit_until_ok(&json!({"input": "Hi."}), TIMEOUT)
        .await["id"]
        .clone();
    fails_in_time(&admin, began).await;

    // The process works otherwise: another worker gets the job once the wedged one is gone.
    fleet.workers[0].kill9().await;
    fleet.add_worker().await;
    let id = id.as_str().expect("the job has an id");
    let job = fleet.client.wait(id, TIMEOUT).await;
    assert_eq!(job["status"], "completed", "{job}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "long: runs in .ci/full"]
async fn a_wedged_worker_is_found_beside_a_healthy_one_that_runs_all_jobs() {
    let _guard = test_lock::shared().await;
    let (mut fleet, wedged) = start_wedged(DROPS_WAKES).await;
    fleet.add_worker().await;
    let healthy = Admin::of(&fleet.workers[1]).await;

    // RabbitMQ delivers to both workers in turn. The healthy one runs the jobs of lost messages too, after the sweeper has
    // published them again. So most of the time no job is ready.
    let client = fleet.client.clone();
    let jobs = async {
        loop {
            let id = client
                .submit_until_ok(&json!({"input": "Hi."}), TIMEOUT)
                .await["id"]
                .clone();
            let job = client
                .wait(id.as_str().expect("the job has an id"), TIMEOUT)
                .await;
            assert_eq!(job["status"], "completed", "{job}");
        }
    };
    let stays_healthy = async {
        let has_failed = async || {
            healthy
                .try_get("/healthz")
                .await
                .expect("the process answers")
                .0
                != 200
        };
        while !poll_until(Duration::from_secs(1), has_failed).await {}
        panic!("/healthz of the healthy worker failed");
    };
    let jobs_and_health = async { tokio::join!(jobs, stays_healthy) };
    tokio::select! {
        () = fails_in_time(&wedged, Instant::now()) => {}
        _ = jobs_and_health => unreachable!("both run until the test ends"),
    }
    let granted = async |admin: &Admin| {
        let claims = admin.scrape().await;
        claims.value("forebay_claims_total{result=\"granted\"}")
    };
    assert_eq!(granted(&wedged).await, Some(0.0));
    assert!(granted(&healthy).await > Some(1.0));
}
