//! The admin listener: metrics in both text formats, and the probes.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use faulty_store::StoreMode;
use forebay_gateway::{AdminSettings, AllowedHosts};
use forebay_shared::account::{AccountKey, ConfiguredLimits};
use reqwest::{Method, header::CONTENT_TYPE};
use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
};
use tokio_util::task::AbortOnDropHandle;

use crate::fixture::{Fixture, repeat_until};

/// How long a request or a wait may take. Only failing tests reach it.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The admin listener of a fixture's process.
struct Admin {
    address: SocketAddr,
    url: String,
    http: reqwest::Client,
    _server: AbortOnDropHandle<()>,
}

impl Admin {
    async fn start(gateway: &Fixture, has_gateway: bool) -> Self {
        let any = AllowedHosts::default();
        Self::with_hosts(gateway, has_gateway, "127.0.0.1:0", any).await
    }

    async fn with_hosts(
        gateway: &Fixture,
        has_gateway: bool,
        listen: &str,
        allowed_hosts: AllowedHosts,
    ) -> Self {
        let listener = TcpListener::bind(listen).await.expect("the port opens");
        let port = listener.local_addr().expect("the address is valid").port();
        let settings = AdminSettings {
            allowed_hosts,
            has_gateway,
            has_worker: !has_gateway,
            jobs_max: 100,
        };
        let member = Arc::clone(&gateway.member);
        let stop = gateway.stop.clone();
        let serving = forebay_gateway::serve_admin(listener, member, settings, stop);
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            url: format!("http://127.0.0.1:{port}"),
            http: reqwest::Client::builder()
                .no_proxy()
                .timeout(TIMEOUT)
                .build()
                .expect("the client is built"),
            _server: AbortOnDropHandle::new(tokio::spawn(serving)),
        }
    }

    async fn get(&self, path: &str, accept: Option<&str>) -> (u16, String, String) {
        let mut request = self.http.get(format!("{}{path}", self.url));
        if let Some(accept) = accept {
            request = request.header("accept", accept);
        }
        let response = request.send().await.expect("the server responds");
        let status = response.status().as_u16();
        let kind = response
            .headers()
            .get(CONTENT_TYPE)
            .expect("a content type");
        let kind = kind.to_str().expect("text").to_owned();
        (status, kind, response.text().await.expect("a body"))
    }

    /// The id that the answer to a request with this id has.
    async fn answered_id(&self, path: &str, id: &str) -> Option<String> {
        let request = self.http.get(format!("{}{path}", self.url));
        let request = request.header("x-request-id", id);
        let response = request.send().await.expect("the server responds");
        let answered = response.headers().get("x-request-id")?.to_str();
        Some(answered.expect("the id is text").to_owned())
    }

    async fn metrics(&self) -> String {
        self.get("/metrics", None).await.2
    }

    async fn problem(&self, path: &str) -> Value {
        let (status, _, body) = self.get(path, None).await;
        assert_eq!(status, 503, "{body}");
        serde_json::from_str(&body).expect("problem details")
    }
}

/// The value of the series.
fn value(text: &str, series: &str) -> Option<f64> {
    let value = |line: &str| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok();
    text.lines().find_map(value)
}

fn has_line(text: &str, line: &str) -> bool {
    text.lines().any(|other| other == line)
}

#[tokio::test]
async fn metrics_have_the_format_that_the_scraper_prefers() {
    let gateway = Fixture::start().await;
    let admin = Admin::start(&gateway, true).await;
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
    let admin = Admin::start(&gateway, true).await;
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
    let admin = Admin::start(&gateway, true).await;
    let welcome = gateway.get("/").await.expect(200);
    let mut labels = vec![(Method::GET, "/", "/")];
    for (method, path, label) in [
        (Method::POST, "/v1/jobs", "/v1/jobs"),
        (Method::GET, "/v1/jobs/job_1", "/v1/jobs/{id}"),
        (
            Method::POST,
            "/v1/jobs/job_1/cancel",
            "/v1/jobs/{id}/cancel",
        ),
        (Method::GET, "/v1/sessions/s", "/v1/sessions/{id}"),
        (Method::DELETE, "/v1/sessions/s", "/v1/sessions/{id}"),
        (Method::GET, "/v1/queues", "/v1/queues"),
        (Method::GET, "/v1/providers", "/v1/providers"),
        (Method::GET, "/healthz", "/healthz"),
        (Method::GET, "/readyz", "/readyz"),
        (Method::GET, "/readyz/submits", "/readyz/submits"),
    ] {
        labels.push((method, path, label));
    }
    // The routes that the API lists itself are among these, so a new route must be added here and in the metrics.
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
async fn readyz_names_what_is_missing_on_both_ports() {
    let gateway = Fixture::start().await;
    let admin = Admin::start(&gateway, true).await;
    repeat_until(|| gateway.get("/readyz"), |response| response.status == 200).await;
    assert_eq!(admin.get("/readyz", None).await.0, 200);
    assert_eq!(admin.get("/healthz", None).await.0, 200);

    gateway.store.set_mode(StoreMode::Down);
    let response = repeat_until(|| gateway.get("/readyz"), |response| response.status == 503).await;
    let of_api = response.expect_problem(503, "store_unavailable");
    let of_admin = admin.problem("/readyz").await;
    for problem in [of_api, of_admin] {
        assert_eq!(problem["missing"], json!(["store"]));
        assert_eq!(problem["code"], "store_unavailable");
    }
    assert_eq!(
        admin.get("/healthz", None).await.0,
        200,
        "a restart does not help"
    );

    gateway.store.set_mode(StoreMode::Up);
    repeat_until(|| gateway.get("/readyz"), |response| response.status == 200).await;
    gateway.member.begin_stop();
    let problem = admin.problem("/readyz").await;
    assert_eq!(problem["missing"], json!(["draining"]));
    assert_eq!(problem["code"], "stopping");
    assert_eq!(value(&admin.metrics().await, "forebay_draining"), Some(1.0));
}

#[tokio::test]
async fn counts_of_the_fleet_follow_the_store() {
    let gateway = Fixture::start().await;
    let admin = Admin::start(&gateway, true).await;
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

#[tokio::test]
async fn only_the_hosts_of_the_machine_may_scrape_a_loopback_listener() {
    let gateway = Fixture::start().await;
    let admin = Admin::start(&gateway, true).await;
    let request = admin.http.get(format!("{}/metrics", admin.url));
    let response = request.header("host", "attacker.example").send().await;
    assert_eq!(
        response.expect("the server responds").status().as_u16(),
        421
    );
}

/// Scrapers and probes use the address of a pod. DNS names stay protected.
#[tokio::test]
async fn scrapers_may_use_any_ip_address_whatever_hosts_are_allowed() {
    let gateway = Fixture::start().await;
    let allowed = AllowedHosts::parse("forebay.example").expect("the hosts are valid");
    for listen in ["127.0.0.1:0", "0.0.0.0:0"] {
        let admin = Admin::with_hosts(&gateway, true, listen, allowed.clone()).await;
        for (host, path, expected) in [
            ("10.0.0.7:9464", "/metrics", 200),
            ("[fd00::7]:9464", "/metrics", 200),
            ("10.0.0.7:9464", "/healthz", 200),
            ("forebay.example", "/metrics", 200),
            ("attacker.example", "/metrics", 421),
        ] {
            let request = admin.http.get(format!("{}{path}", admin.url));
            let response = request.header("host", host).send().await;
            let response = response.expect("the server responds");
            assert_eq!(response.status().as_u16(), expected, "{host} {path}");
            let body = response.text().await.expect("a body");
            assert!(!body.is_empty(), "{host} {path}: the answer says why");
        }
    }
}

#[tokio::test]
async fn idle_connections_do_not_keep_out_a_probe() {
    let gateway = Fixture::start().await;
    let admin = Admin::start(&gateway, true).await;
    let mut idle = Vec::new();
    // More than the listener keeps open. Some have sent a part of a request.
    for number in 0..200 {
        let mut stream = TcpStream::connect(admin.address).await.expect("connected");
        if number % 2 == 0 {
            stream
                .write_all(b"GET /metrics HTTP/1.1\r\n")
                .await
                .expect("sent");
        }
        idle.push(stream);
    }
    assert_eq!(admin.get("/healthz", None).await.0, 200);
    drop(idle);
}

/// A gateway that has lost the store must not report the accounts and the jobs that it knew before.
#[tokio::test]
async fn without_recent_counts_values_of_the_fleet_are_left_out() {
    let gateway = Fixture::start().await;
    let admin = Admin::start(&gateway, true).await;
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

#[tokio::test]
async fn every_answer_of_the_admin_listener_has_a_request_id() {
    let gateway = Fixture::start().await;
    let admin = Admin::start(&gateway, true).await;
    for path in ["/metrics", "/healthz", "/readyz", "/nowhere"] {
        let answered = admin.answered_id(path, "my-id").await;
        assert_eq!(answered.as_deref(), Some("my-id"), "{path}");
        let new = admin.answered_id(path, "not valid").await;
        assert_eq!(new.map(|id| id.len()), Some(32), "{path}");
    }
}
