//! The limits of tenants: how many requests a tenant may make in a window, and how many of its jobs may be live.

mod store_calls;

use std::{fs, path::PathBuf, sync::Arc};

use faulty_store::{StoreCall, StoreMode};
use forebay_gateway::ApiKeysFile;
use forebay_metrics::Format;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fixture::{ApiResponse, Fixture, id_of, job_in_session, repeat_until};

const SHOP: &str = "shop-0123456789-0123456789-012345";
const SHOP_READ: &str = "shop-read-0123456789-0123456789-0";
const BANK: &str = "bank-0123456789-0123456789-012345";
const OPERATOR: &str = "operator-0123456789-0123456789-01";
const LIMITS: &str = "/v1/admin/tenants/shop/limits";

/// A gateway with keys, and the limits of the tenant `shop`.
struct WithLimits {
    gateway: Fixture,
    folder: TempDir,
}

impl WithLimits {
    /// `limits` is empty, or the text of limits in the keys file.
    async fn start(limits: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("keys");
        fs::write(&path, keys(limits)).expect("the file is written");
        let keys = ApiKeysFile::open(&path).expect("the keys are valid");
        let gateway = Fixture::with_settings(|settings| settings.api_keys = Some(Arc::new(keys)));
        Self {
            gateway: gateway.await,
            folder,
        }
    }

    fn keys_path(&self) -> PathBuf {
        self.folder.path().join("keys")
    }

    fn request(&self, method: Method, path: &str, key: &str) -> RequestBuilder {
        self.gateway.request(method, path).bearer_auth(key)
    }

    async fn send(&self, method: Method, path: &str, key: &str) -> ApiResponse {
        self.gateway.send(self.request(method, path, key)).await
    }

    async fn submit(&self, key: &str) -> ApiResponse {
        self.submit_json(&json!({"input": "Hi."}), key).await
    }

    async fn submit_json(&self, job: &Value, key: &str) -> ApiResponse {
        let request = self.request(Method::POST, "/v1/jobs", key);
        self.gateway.send(request.json(job)).await
    }

    async fn put(&self, limits: &Value) -> ApiResponse {
        let request = self.request(Method::PUT, LIMITS, OPERATOR);
        self.gateway.send(request.json(limits)).await
    }
}

/// The text of a keys file.
fn keys(limits: &str) -> String {
    let keys =
        format!("shop:{SHOP}\nshop:{SHOP_READ}:read\nbank:{BANK}\noperator:{OPERATOR}:admin\n");
    match limits {
        "" => keys,
        _ => format!("{keys}[shop] {limits}\n"),
    }
}

/// The parameter of a policy in a header, such as `r` in `"live";r=5`.
fn parameter(response: &ApiResponse, header: &str, policy: &str, name: &str) -> Option<u64> {
    let items = response.header(header)?.split(", ");
    let policy = format!("\"{policy}\"");
    let mut of_policy = items.filter(|item| item.split(';').next() == Some(&policy));
    let mut parameters = of_policy.next()?.split(';');
    let value = parameters.find_map(|text| text.strip_prefix(&format!("{name}=")))?;
    Some(value.parse().expect("a number"))
}

fn left(response: &ApiResponse, policy: &str) -> Option<u64> {
    parameter(response, "ratelimit", policy, "r")
}

/// Asserts that a limit refused the request, by the draft and by the rules of this API.
#[track_caller]
fn expect_refused(response: &ApiResponse, policy: &str) {
    let body = &response.body;
    assert_eq!(response.status, 429, "{body}");
    assert_eq!(
        body["type"],
        "https://iana.org/assignments/http-problem-types#quota-exceeded"
    );
    assert_eq!(body["violated-policies"], json!([policy]));
    assert_eq!(body["code"], "quota_exceeded");
    assert_eq!(body["status"], 429);
    assert!(body["title"].is_string() && body["detail"].is_string());
    let retry_after_s: u64 = response
        .header("retry-after")
        .and_then(|seconds| seconds.parse().ok())
        .expect("a Retry-After");
    let reset_s = parameter(response, "ratelimit", policy, "t").unwrap_or(1);
    assert!(
        retry_after_s >= reset_s.max(1),
        "{retry_after_s} < {reset_s}"
    );
    assert_eq!(left(response, policy), Some(0));
}

#[tokio::test]
async fn every_answer_of_a_limited_route_shows_the_limits() {
    let api = WithLimits::start("requests=100/60 live=50").await;
    let expected = r#""requests";q=100;w=60, "live";q=50;qu="concurrent-requests""#;
    let job = api.submit(SHOP).await;
    let id = id_of(&job.body);
    let retry = format!("/v1/jobs/{id}/retry");
    let unknown = "/v1/jobs/job_0a00000000000000000000000000000001/retry";
    let answers = [
        (202, job),
        (422, api.submit_json(&json!({"input": 5}), SHOP).await),
        (403, api.submit(SHOP_READ).await),
        (400, api.send(Method::POST, "/v1/jobs?x=1", SHOP).await),
        (400, api.send(Method::POST, "/v1/jobs", SHOP).await),
        (409, api.send(Method::POST, &retry, SHOP).await),
        (404, api.send(Method::POST, unknown, SHOP).await),
        (202, api.submit(SHOP).await),
    ];
    let mut used = 0;
    for (status, answer) in &answers {
        // A key that may not submit uses up nothing.
        used += u64::from(*status != 403);
        assert_eq!(answer.status.as_u16(), *status, "{}", answer.body);
        assert_eq!(answer.header("ratelimit-policy"), Some(expected));
        assert_eq!(left(answer, "requests"), Some(100 - used), "{status}");
        let reset_s = parameter(answer, "ratelimit", "requests", "t").expect("a reset");
        assert!((1..=60).contains(&reset_s), "{reset_s}");
        assert!(left(answer, "live").is_some_and(|left| left >= 48));
    }
    api.gateway.store.set_mode(StoreMode::Down);
    let failed = api.submit(SHOP).await;
    assert_eq!(failed.header("ratelimit-policy"), Some(expected));
    failed.expect_problem(503, "store_unavailable");
    api.gateway.store.set_mode(StoreMode::Up);

    let others = [
        api.submit(BANK).await,
        api.send(Method::GET, "/v1/jobs", SHOP).await,
        api.send(Method::POST, &format!("/v1/jobs/{id}/cancel"), SHOP)
            .await,
        api.submit("unknown-0123456789-0123456789-0123").await,
    ];
    for other in others {
        assert_eq!(other.header("ratelimit-policy"), None);
        assert_eq!(other.header("ratelimit"), None);
    }
}

#[tokio::test]
async fn a_tenant_may_make_its_requests_in_each_window() {
    let api = WithLimits::start("requests=3/2").await;
    for expected in [2, 1, 0] {
        let accepted = api.submit(SHOP).await;
        assert_eq!(left(&accepted, "requests"), Some(expected));
        assert_eq!(left(&accepted, "live"), None);
        accepted.expect(202);
    }
    let jobs = api.gateway.live_jobs().await;
    expect_refused(&api.submit(SHOP).await, "requests");
    // An invalid request and a retry cost a permit too.
    let invalid = api.submit_json(&json!({}), SHOP).await;
    expect_refused(&invalid, "requests");
    let retry = "/v1/jobs/job_0a00000000000000000000000000000001/retry";
    expect_refused(&api.send(Method::POST, retry, SHOP).await, "requests");
    assert_eq!(api.gateway.live_jobs().await, jobs);
    api.submit(BANK).await.expect(202);
    api.send(Method::GET, "/v1/jobs", SHOP).await.expect(200);
    let text = api.gateway.member.metrics.encode(Format::accepted_by(""));
    let text = text.expect("the metrics");
    let counted = r#"forebay_quota_refusals_total{policy="requests"} 3"#;
    assert!(text.contains(counted), "{text}");

    let is_accepted = |response: &ApiResponse| response.status == 202;
    let accepted = repeat_until(|| api.submit(SHOP), is_accepted).await;
    assert_eq!(left(&accepted, "requests"), Some(2), "a new window");
}

#[tokio::test]
async fn a_tenant_may_have_its_live_jobs() {
    let api = WithLimits::start("live=3").await;
    let submit_with_key = async || {
        let request = api.request(Method::POST, "/v1/jobs", SHOP);
        let request = request
            .header("idempotency-key", "k")
            .json(&job_in_session("s"));
        api.gateway.send(request).await
    };
    let first = id_of(&submit_with_key().await.expect(202));
    // A submit that its session refuses gives its permit back.
    for _ in 0..5 {
        let busy = json!({"input": "Hi.", "session_id": "s", "if_busy": "reject"});
        let refused = api.submit_json(&busy, SHOP).await;
        refused.expect_problem(409, "session_busy");
    }
    api.submit(SHOP).await.expect(202);
    let third = id_of(&api.submit(SHOP).await.expect(202));
    let refused = api.submit(SHOP).await;
    expect_refused(&refused, "live");
    assert_eq!(api.gateway.live_jobs().await, 3);
    // A repeated submit gets its job.
    let repeated = submit_with_key().await;
    assert_eq!(repeated.header("idempotency-replayed"), Some("true"));
    assert_eq!(id_of(&repeated.expect(202)), first);
    api.submit(BANK).await.expect(202);

    let cancel = format!("/v1/jobs/{third}/cancel");
    api.send(Method::POST, &cancel, SHOP).await.expect(200);
    let is_accepted = |response: &ApiResponse| response.status == 202;
    repeat_until(|| api.submit(SHOP), is_accepted).await;
    expect_refused(&api.submit(SHOP).await, "live");
    // A retry makes a job live again.
    let retry = format!("/v1/jobs/{third}/retry");
    expect_refused(&api.send(Method::POST, &retry, SHOP).await, "live");
    let cancel = format!("/v1/jobs/{first}/cancel");
    api.send(Method::POST, &cancel, SHOP).await.expect(200);
    let retried = repeat_until(|| api.send(Method::POST, &retry, SHOP), is_accepted).await;
    assert_eq!(id_of(&retried.body), third);
    expect_refused(&api.submit(SHOP).await, "live");
    assert_eq!(
        api.gateway.live_jobs().await,
        4,
        "three jobs of the shop and one of the bank"
    );
}

/// A permit is free again after the store has refused the job.
#[tokio::test]
async fn a_failed_submit_does_not_use_a_live_permit_for_ever() {
    let api = WithLimits::start("live=1").await;
    let store = &api.gateway.store;
    store.plan(StoreCall::Commit, [faulty_store::Fault::Full]);
    api.submit(SHOP).await.expect_problem(503, "store_full");
    api.submit(SHOP).await.expect(202);
    expect_refused(&api.submit(SHOP).await, "live");
}

#[tokio::test]
async fn an_operator_sets_the_limits_of_a_tenant() {
    let api = WithLimits::start("requests=100/60").await;
    let of_file = api.send(Method::GET, LIMITS, OPERATOR).await.expect(200);
    let expected = json!({
        "tenant": "shop",
        "requests": {"quota": 100, "window_s": 60},
        "live_jobs": null,
        "source": "keys_file",
    });
    assert_eq!(of_file, expected);
    for (method, key) in [
        (Method::GET, SHOP),
        (Method::PUT, SHOP),
        (Method::DELETE, BANK),
    ] {
        let refused = api.send(method, LIMITS, key).await;
        refused.expect_problem(403, "insufficient_scope");
    }
    let nothing = api.send(Method::DELETE, LIMITS, OPERATOR).await;
    nothing.expect_problem(404, "limits_not_found");

    let limits = json!({"live_jobs": {"quota": 1}});
    let expected = json!({
        "tenant": "shop",
        "requests": null,
        "live_jobs": {"quota": 1},
        "source": "api",
    });
    assert_eq!(api.put(&limits).await.expect(200), expected);
    let stored = api.send(Method::GET, LIMITS, OPERATOR).await.expect(200);
    assert_eq!(stored, expected);
    // The stored limits apply at once, in place of those of the file.
    let first = api.submit(SHOP).await;
    let policy = r#""live";q=1;qu="concurrent-requests""#;
    assert_eq!(first.header("ratelimit-policy"), Some(policy));
    first.expect(202);
    expect_refused(&api.submit(SHOP).await, "live");
    api.put(&json!({"live_jobs": {"quota": 2}}))
        .await
        .expect(200);
    api.submit(SHOP).await.expect(202);
    expect_refused(&api.submit(SHOP).await, "live");
    // Empty stored limits mean no limits, although the file has some.
    api.put(&json!({})).await.expect(200);
    let unlimited = api.submit(SHOP).await;
    assert_eq!(unlimited.header("ratelimit-policy"), None);
    unlimited.expect(202);
    let removed = api.send(Method::DELETE, LIMITS, OPERATOR).await;
    assert_eq!(removed.status, 204);
    let of_file = api.submit(SHOP).await;
    let policy = r#""requests";q=100;w=60"#;
    assert_eq!(of_file.header("ratelimit-policy"), Some(policy));

    for (body, field) in [
        (
            json!({"requests": {"quota": 0, "window_s": 60}}),
            "requests.quota",
        ),
        (json!({"requests": {"quota": 1}}), "requests.window_s"),
        (json!({"live": {"quota": 1}}), "live"),
    ] {
        let problem = api.put(&body).await.expect_problem(422, "invalid_request");
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
    }
    let path = "/v1/admin/tenants/a%20b/limits";
    let invalid = api.send(Method::GET, path, OPERATOR).await;
    let problem = invalid.expect_problem(422, "invalid_request");
    assert_eq!(problem["errors"][0]["field"], "tenant");
}

#[tokio::test]
async fn limits_of_the_keys_file_change_with_the_file() {
    let api = WithLimits::start("").await;
    let unlimited = api.submit(SHOP).await;
    assert_eq!(unlimited.header("ratelimit-policy"), None);
    fs::write(api.keys_path(), keys("requests=1/600")).expect("the file is written");
    let is_refused = |response: &ApiResponse| response.status == 429;
    let refused = repeat_until(|| api.submit(SHOP), is_refused).await;
    expect_refused(&refused, "requests");
}

#[tokio::test]
async fn the_document_describes_the_limits_where_keys_are_on() {
    let api = WithLimits::start("").await;
    for (gateway, is_described) in [(&api.gateway, true), (&Fixture::start().await, false)] {
        let document = gateway.get("/openapi.json").await.expect(200);
        for path in ["/v1/jobs", "/v1/jobs/{id}/retry"] {
            let responses = &document["paths"][path]["post"]["responses"];
            for (status, response) in responses.as_object().expect("responses") {
                let header = &response["headers"]["RateLimit-Policy"];
                assert_eq!(header.is_object(), is_described, "{path} {status}");
            }
            let codes = responses["429"].to_string();
            assert_eq!(codes.contains("quota_exceeded"), is_described, "{codes}");
        }
        let get = &document["paths"]["/v1/jobs"]["get"]["responses"]["200"];
        assert!(get["headers"]["RateLimit"].is_null());
    }
}

/// If writes of whole sessions did not count, a tenant could fill the store with copies of its sessions.
#[tokio::test]
async fn writes_of_whole_sessions_count_as_requests() {
    let api = WithLimits::start("requests=3/600").await;
    let write = async |method: Method, path: &str| {
        let request = api.gateway.request(method, path).bearer_auth(SHOP);
        api.gateway.send(request.json(&json!({}))).await
    };
    write(Method::PUT, "/v1/sessions/s").await.expect(201);
    let forked = write(Method::POST, "/v1/sessions/s/fork").await;
    assert!(forked.header("ratelimit").is_some());
    forked.expect(201);
    api.submit(SHOP).await.expect(202);
    for (method, path) in [
        (Method::PUT, "/v1/sessions/t"),
        (Method::POST, "/v1/sessions/s/fork"),
    ] {
        expect_refused(&write(method, path).await, "requests");
    }
}
