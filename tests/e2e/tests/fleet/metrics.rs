//! The admin listeners of a gateway and of a worker: their metrics, which `promtool check metrics` accepts, and `/readyz`.

use e2e::{
    client::id_of,
    fleet::{Fleet, TIMEOUT, poll_until},
    metrics::Admin,
};
use serde_json::json;

use crate::test_lock;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_role_reports_its_own_metrics_and_gateways_also_those_of_the_fleet() {
    let _guard = test_lock::shared().await;
    let (name, value) = Admin::SETTING;
    let fleet = Fleet::builder().gateways(1).workers(2);
    let fleet = fleet
        .env(name, value)
        .env("FOREBAY_SIMULATED_LATENCY_MS", "1");
    let fleet = fleet.start().await;
    let gateway = Admin::of(&fleet.gateways[0]).await;
    let workers = [
        Admin::of(&fleet.workers[0]).await,
        Admin::of(&fleet.workers[1]).await,
    ];
    for number in 0..20 {
        let job = fleet
            .client
            .submit_ok(&json!({"input": format!("Job {number}.")}))
            .await;
        let job = fleet.client.wait(id_of(&job), TIMEOUT).await;
        assert_eq!(job["status"], "completed", "{job}");
    }

    let ended = r#"forebay_jobs_ended_total{class="interactive"}"#;
    let processes = r#"forebay_processes{role="worker"}"#;
    let reported = async || {
        let scrape = gateway.scrape().await;
        scrape.value(ended) == Some(20.0) && scrape.value(processes) == Some(2.0)
    };
    assert!(
        poll_until(TIMEOUT, reported).await,
        "{}",
        gateway.scrape().await.text
    );
    let of_gateway = gateway.scrape().await;
    of_gateway.check_with_promtool().await;
    of_gateway.assert_documented();
    for (series, expected) in [
        (r#"forebay_submits_total{outcome="accepted"}"#, 20.0),
        (r#"forebay_jobs{class="interactive",state="ready"}"#, 0.0),
        (r#"forebay_oldest_queued_seconds{class="interactive"}"#, 0.0),
        (r#"forebay_connected{server="redis"}"#, 1.0),
        (r#"forebay_connected{server="rabbitmq"}"#, 1.0),
        (
            r#"forebay_process_info{role="gateway",engine="distributed"}"#,
            1.0,
        ),
        ("forebay_jobs_max", 100_000.0),
    ] {
        assert_eq!(
            of_gateway.value(series),
            Some(expected),
            "{series} in\n{}",
            of_gateway.text
        );
    }
    for server in ["redis", "rabbitmq"] {
        // A busy machine may have lost a connection.
        let series = format!(r#"forebay_connections_lost_total{{server="{server}"}}"#);
        assert!(of_gateway.value(&series).is_some(), "{series}");
    }
    assert!(
        !of_gateway.text.contains("forebay_claims"),
        "a gateway claims nothing"
    );

    // A worker counts an attempt after its commit, so a client may see the end of the job earlier.
    let all_counted = async || {
        let mut completed = 0.0;
        for worker in &workers {
            let scrape = worker.scrape().await;
            completed += scrape.sum("forebay_job_attempts_total", r#"result="completed""#);
        }
        completed >= 20.0
    };
    assert!(poll_until(TIMEOUT, all_counted).await);
    let mut claims = 0.0;
    for worker in &workers {
        let scrape = worker.scrape().await;
        scrape.check_with_promtool().await;
        claims += scrape.sum("forebay_claims_total", r#"result="granted""#);
        assert_eq!(scrape.value("forebay_consumer_connected"), Some(1.0));
        assert!(
            !scrape.text.contains("forebay_submits"),
            "a worker has no API"
        );
        assert_eq!(
            worker
                .try_get("/readyz")
                .await
                .expect("the process answers")
                .0,
            200
        );
    }
    // On a busy machine, a job may lose its worker and be claimed again.
    assert!(claims >= 20.0, "{claims}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readyz_of_a_worker_names_the_missing_queue_and_store() {
    let _guard = test_lock::shared().await;
    let (name, value) = Admin::SETTING;
    let fleet = Fleet::builder().gateways(1).workers(1).own_rabbit();
    let fleet = fleet.env(name, value).start().await;
    let (gateway, worker) = (
        Admin::of(&fleet.gateways[0]).await,
        Admin::of(&fleet.workers[0]).await,
    );
    let becomes = async |admin: &Admin, status: u16, text: &str| {
        let mut last = (0, String::new());
        let is_so = async || {
            last = admin.try_get("/readyz").await.expect("the process answers");
            last.0 == status && last.1.contains(text)
        };
        assert!(
            poll_until(TIMEOUT, is_so).await,
            "{last:?} instead of {status} {text}"
        );
    };
    becomes(&worker, 200, r#"{"status":"ok"}"#).await;
    fleet.rabbit.kill9().await.expect("RabbitMQ is killed");
    becomes(&worker, 503, r#""missing":["queue"]"#).await;
    becomes(&gateway, 200, r#""missing":["queue"]"#).await;
    fleet.redis.kill9().await.expect("Redis is killed");
    becomes(&worker, 503, r#""missing":["store","queue"]"#).await;
    becomes(&gateway, 503, r#""missing":["store","queue"]"#).await;
    let (status, body) = worker
        .try_get("/healthz")
        .await
        .expect("the process answers");
    assert_eq!(
        status, 200,
        "a restart of the worker would not help: {body}"
    );
}
