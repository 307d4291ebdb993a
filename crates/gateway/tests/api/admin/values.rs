//! What `/metrics` reports, and in which format.

use std::time::Duration;

use faulty_store::StoreMode;
use forebay_shared::account::{AccountKey, ConfiguredLimits};
use reqwest::Method;
use serde_json::json;

use super::{Admin, TIMEOUT, has_line, value};
use crate::fixture::Fixture;

#[tokio::test]
async fn metrics_have_the_format_that_the_scraper_prefers() {
    let gateway = Fixture::start().await;
    let admin = Admin::start(&gateway).await;
    gateway.submit(&json!({"input": "Hi."})).await.expect(202);

    let (status, kind, text) = admin.get("/metrics", None).await;
    assert_eq!(
        (status, kind.as_str()),
        (200, "text/plain; version=0.0.4; charset=utf-8")
    );
    assert!(
        has_line(&text, "# TYPE forebay_submits_total counter"),
        "{text}"
    );
    assert!(text.contains("# HELP forebay_submits_total "), "{text}");
    assert!(
        has_line(&text, r#"forebay_submits_total{outcome="accepted"} 1"#),
        "{text}"
    );
    assert!(has_line(&text, "# TYPE forebay_build_info gauge"), "{text}");
    assert!(
        !text.contains("# EOF") && !text.contains("# UNIT"),
        "{text}"
    );
    assert!(text.ends_with('\n'));

    let accept = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.1";
    let (_, kind, text) = admin.get("/metrics", Some(accept)).await;
    assert_eq!(
        kind,
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    assert!(has_line(&text, "# TYPE forebay_submits counter"), "{text}");
    assert!(
        has_line(&text, r#"forebay_submits_total{outcome="accepted"} 1"#),
        "{text}"
    );
    assert!(text.ends_with("# EOF\n"), "{text}");
}

#[tokio::test]
async fn a_submit_counts_by_its_outcome() {
    let gateway = Fixture::with_settings(|settings| settings.body_bytes_max = 2_000).await;
    let admin = Admin::start(&gateway).await;
    let job = json!({"input": "Hi."});
    gateway.submit_with_key(&job, "k").await.expect(202);
    gateway.submit_with_key(&job, "k").await.expect(202);
    gateway.submit_with_key(&json!({"input": "No."}), "k").await;
    gateway.submit(&json!({"input": 7})).await;
    gateway.submit_text(String::from("{")).await;
    let large = || {
        let request = gateway.request(Method::POST, "/v1/jobs");
        request.json(&json!({"input": "x".repeat(3_000)}))
    };
    gateway
        .send_too_large(large)
        .await
        .expect_problem(413, "body_too_large");

    let text = admin.metrics().await;
    for outcome in [
        "accepted",
        "replayed",
        "idempotency_key_reused",
        "invalid_request",
        "invalid_json",
    ] {
        let line = format!(r#"forebay_submits_total{{outcome="{outcome}"}} 1"#);
        assert!(has_line(&text, &line), "{line} is not in {text}");
    }
    assert!(
        text.contains(r#"forebay_submits_total{outcome="body_too_large"}"#),
        "{text}"
    );
}

#[tokio::test]
async fn each_route_has_its_own_label() {
    let gateway = Fixture::start().await;
    let admin = Admin::start(&gateway).await;
    let welcome = gateway.get("/").await.expect(200);
    let mut labels = vec![(Method::GET, "/", "/")];
    for (method, path, label) in [
        (Method::POST, "/v1/jobs", "/v1/jobs"),
        (Method::GET, "/v1/jobs", "/v1/jobs"),
        (Method::GET, "/v1/jobs/job_1", "/v1/jobs/{id}"),
        (
            Method::POST,
            "/v1/jobs/job_1/cancel",
            "/v1/jobs/{id}/cancel",
        ),
        (Method::POST, "/v1/jobs/job_1/retry", "/v1/jobs/{id}/retry"),
        (Method::DELETE, "/v1/jobs/job_1", "/v1/jobs/{id}"),
        (Method::GET, "/v1/sessions", "/v1/sessions"),
        (Method::GET, "/v1/sessions/s", "/v1/sessions/{id}"),
        (Method::PUT, "/v1/sessions/s", "/v1/sessions/{id}"),
        (Method::PATCH, "/v1/sessions/s", "/v1/sessions/{id}"),
        (
            Method::POST,
            "/v1/sessions/s/fork",
            "/v1/sessions/{id}/fork",
        ),
        (Method::DELETE, "/v1/sessions/s", "/v1/sessions/{id}"),
        (Method::GET, "/v1/queues", "/v1/queues"),
        (Method::GET, "/v1/providers", "/v1/providers"),
        (Method::GET, "/v1/admin/keys", "/v1/admin/keys"),
        (Method::POST, "/v1/admin/keys", "/v1/admin/keys"),
        (
            Method::DELETE,
            "/v1/admin/keys/key_1",
            "/v1/admin/keys/{key_id}",
        ),
        (
            Method::GET,
            "/v1/admin/tenants/shop/limits",
            "/v1/admin/tenants/{tenant}/limits",
        ),
        (Method::GET, "/healthz", "/healthz"),
        (Method::GET, "/readyz", "/readyz"),
        (Method::GET, "/readyz/submits", "/readyz/submits"),
        (Method::GET, "/openapi.json", "/openapi.json"),
        (Method::GET, "/docs", "/docs"),
        (Method::GET, "/docs/start.js", "/docs/{file}"),
    ] {
        labels.push((method, path, label));
    }
    // Every route that `GET /` lists must be among these, so a new route must be added here and in the metrics.
    let routes = welcome["routes"].as_object().expect("a list of routes");
    for route in routes.values() {
        let route = route
            .as_str()
            .and_then(|route| route.split([' ', '?']).nth(1));
        let route = route.expect("a method and a route");
        assert!(
            labels.iter().any(|(_, _, label)| *label == route),
            "{route} is not tested"
        );
    }
    for (method, path, _) in &labels {
        gateway.send(gateway.request(method.clone(), path)).await;
    }
    gateway.get("/nowhere/7").await.expect(404);

    let text = admin.metrics().await;
    for (method, _, label) in &labels {
        let series = format!(
            r#"forebay_http_request_duration_seconds_count{{method="{method}",route="{label}","#
        );
        assert!(text.contains(&series), "{series} is not in {text}");
    }
    let others = text
        .lines()
        .filter(|line| line.contains(r#"route="other""#) && line.contains("_count{"));
    let others: Vec<&str> = others.collect();
    let unknown =
        r#"forebay_http_request_duration_seconds_count{method="GET",route="other",status="404"} 1"#;
    assert_eq!(others, [unknown]);
}

#[tokio::test]
async fn counts_of_the_fleet_follow_the_store() {
    let gateway = Fixture::start().await;
    let admin = Admin::start(&gateway).await;
    gateway.submit(&json!({"input": "Hi."})).await.expect(202);
    let ready = r#"forebay_jobs{class="interactive",state="ready"}"#;
    // The counts are read once a second.
    let shown = async {
        while value(&admin.metrics().await, ready) != Some(1.0) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let limit = Duration::from_secs(30);
    tokio::time::timeout(limit, shown)
        .await
        .expect("the job is counted");
    let text = admin.metrics().await;
    for (series, expected) in [
        ("forebay_jobs_max", 100.0),
        (r#"forebay_jobs{class="batch",state="ready"}"#, 0.0),
        (r#"forebay_jobs_ended_total{class="interactive"}"#, 0.0),
        ("forebay_store_full", 0.0),
        ("forebay_draining", 0.0),
    ] {
        assert_eq!(value(&text, series), Some(expected), "{series} in {text}");
    }
}

/// A gateway that has lost the store must not report the accounts and the jobs that it knew before.
#[tokio::test]
async fn without_recent_counts_values_of_the_fleet_are_left_out() {
    let gateway = Fixture::start().await;
    let admin = Admin::start(&gateway).await;
    let key = AccountKey::of_provider("acme");
    let limits = ConfiguredLimits {
        concurrency: Some(3),
        ..ConfiguredLimits::default()
    };
    let accounts = &gateway.member.accounts;
    let configured = [(key, limits)].into();
    accounts
        .configure(&configured, |name| name == "acme")
        .await
        .expect("the account is configured");
    let phase = r#"forebay_provider_account_phase{account="acme",phase="open"}"#;
    let in_flight = r#"forebay_provider_account_in_flight{account="acme"}"#;
    let shown = async |expected: [Option<f64>; 3]| {
        let is_shown = async {
            loop {
                let text = admin.metrics().await;
                let values = [phase, in_flight, "forebay_store_full"];
                if values.map(|series| value(&text, series)) == expected {
                    assert!(!text.contains(" -0"), "{text}");
                    return;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let shown = tokio::time::timeout(TIMEOUT, is_shown).await;
        shown.unwrap_or_else(|_| panic!("{expected:?} is not shown"));
    };
    shown([Some(1.0), Some(0.0), Some(0.0)]).await;
    gateway.store.set_mode(StoreMode::Down);
    shown([None, None, None]).await;
    gateway.store.set_mode(StoreMode::Up);
    shown([Some(1.0), Some(0.0), Some(0.0)]).await;
}
