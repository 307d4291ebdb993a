//! API keys: requests without one are refused, a key may do what its scopes say, and tenants do not see each other.

use std::{fs, sync::Arc, time::Instant};

use forebay_gateway::ApiKeysFile;
use forebay_shared::ids::{JobId, LaneKey, SessionId, TenantId};
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use tempfile::TempDir;

use crate::fixture::{ApiResponse, Fixture, id_of, job_in_session, repeat_until};

const SHOP: &str = "shop-0123456789-0123456789-012345";
const SHOP_READ: &str = "shop-read-0123456789-0123456789-0";
const SHOP_SUBMIT: &str = "shop-submit-0123456789-0123456789";
const BANK: &str = "bank-0123456789-0123456789-012345";
const OPERATOR: &str = "operator-0123456789-0123456789-01";

/// A gateway with keys.
struct WithKeys {
    gateway: Fixture,
    folder: TempDir,
}

impl WithKeys {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("keys");
        let text = format!(
            "shop:{SHOP}\nshop:{SHOP_READ}:read\nshop:{SHOP_SUBMIT}:submit\nbank:{BANK}\noperator:{OPERATOR}:admin\n"
        );
        fs::write(&path, text).expect("the file is written");
        let keys = ApiKeysFile::open(&path).expect("the keys are valid");
        let gateway = Fixture::with_settings(|settings| settings.api_keys = Some(Arc::new(keys)));
        Self {
            gateway: gateway.await,
            folder,
        }
    }

    fn request(&self, method: Method, path: &str, key: &str) -> RequestBuilder {
        self.gateway.request(method, path).bearer_auth(key)
    }

    async fn get(&self, path: &str, key: &str) -> ApiResponse {
        self.gateway
            .send(self.request(Method::GET, path, key))
            .await
    }

    async fn submit(&self, session: &str, key: &str) -> ApiResponse {
        let request = self.request(Method::POST, "/v1/jobs", key);
        self.gateway
            .send(request.json(&job_in_session(session)))
            .await
    }
}

/// All routes that need a key.
fn closed_routes() -> [(Method, &'static str); 9] {
    [
        (Method::POST, "/v1/jobs"),
        (
            Method::GET,
            "/v1/jobs/job_0a00000000000000000000000000000001",
        ),
        (
            Method::POST,
            "/v1/jobs/job_0a00000000000000000000000000000001/cancel",
        ),
        (Method::GET, "/v1/sessions/s"),
        (Method::DELETE, "/v1/sessions/s"),
        (Method::GET, "/v1/queues"),
        (Method::GET, "/v1/providers"),
        (Method::GET, "/v1/unknown"),
        (Method::PUT, "/v1/jobs"),
    ]
}

fn expect_challenge(response: ApiResponse, challenge: &str) {
    assert_eq!(response.header("www-authenticate"), Some(challenge));
    response.expect_problem(401, "unauthorized");
}

#[tokio::test]
async fn a_request_without_a_valid_key_is_refused() {
    let api = WithKeys::start().await;
    let unknown = &SHOP[1..];
    for (method, path) in closed_routes() {
        let request = || api.gateway.request(method.clone(), path);
        expect_challenge(
            api.gateway.send(request()).await,
            r#"Bearer realm="forebay""#,
        );
        for key in [unknown, &SHOP.to_uppercase()] {
            let response = api.gateway.send(request().bearer_auth(key)).await;
            expect_challenge(response, r#"Bearer realm="forebay", error="invalid_token""#);
        }
        for value in [
            SHOP.to_owned(),
            format!("Basic {SHOP}"),
            format!("Bearer{SHOP}"),
        ] {
            let response = api
                .gateway
                .send(request().header("authorization", value))
                .await;
            expect_challenge(
                response,
                r#"Bearer realm="forebay", error="invalid_request""#,
            );
        }
        let two = request()
            .bearer_auth(SHOP)
            .header("authorization", format!("Bearer {BANK}"));
        expect_challenge(
            api.gateway.send(two).await,
            r#"Bearer realm="forebay", error="invalid_request""#,
        );
    }
    assert_eq!(api.gateway.live_jobs().await, 0);
    // What load balancers and people need first is open.
    for path in ["/", "/healthz", "/readyz", "/readyz/submits"] {
        api.gateway.get(path).await.expect(200);
    }
    let lower = format!("bearer   {SHOP} ");
    let request = api.gateway.request(Method::GET, "/v1/queues");
    api.gateway
        .send(request.header("authorization", lower))
        .await
        .expect(200);
}

#[tokio::test]
async fn a_key_may_do_what_its_scopes_say() {
    let api = WithKeys::start().await;
    let job = id_of(&api.submit("s", SHOP).await.expect(202));
    let job_path = format!("/v1/jobs/{job}");
    let cancel = format!("{job_path}/cancel");
    let refused = |response: ApiResponse, scope: &str| {
        let challenge =
            format!(r#"Bearer realm="forebay", error="insufficient_scope", scope="{scope}""#);
        assert_eq!(
            response.header("www-authenticate"),
            Some(challenge.as_str())
        );
        response.expect_problem(403, "insufficient_scope");
    };
    for key in [SHOP_READ, OPERATOR] {
        refused(api.submit("s", key).await, "submit");
        for (method, path) in [
            (Method::POST, cancel.as_str()),
            (Method::DELETE, "/v1/sessions/s"),
        ] {
            refused(
                api.gateway.send(api.request(method, path, key)).await,
                "submit",
            );
        }
    }
    for key in [SHOP_SUBMIT, OPERATOR] {
        refused(api.get(&job_path, key).await, "read");
        refused(api.get("/v1/sessions/s", key).await, "read");
    }
    refused(api.get("/v1/queues", SHOP_SUBMIT).await, "read");
    for key in [SHOP, SHOP_READ, SHOP_SUBMIT, BANK] {
        refused(api.get("/v1/providers", key).await, "admin");
    }
    api.get("/v1/providers", OPERATOR).await.expect(200);
    api.get(&job_path, SHOP_READ).await.expect(200);
    api.gateway
        .send(api.request(Method::POST, &cancel, SHOP_SUBMIT))
        .await
        .expect(200);
}

#[tokio::test]
async fn a_tenant_does_not_see_or_change_what_belongs_to_another_one() {
    let api = WithKeys::start().await;
    let job = id_of(&api.submit("s", SHOP).await.expect(202));
    let of_shop = [
        (Method::GET, format!("/v1/jobs/{job}")),
        (Method::GET, format!("/v1/jobs/{job}?wait_s=1")),
        (Method::POST, format!("/v1/jobs/{job}/cancel")),
        (Method::GET, String::from("/v1/sessions/s")),
        (Method::GET, String::from("/v1/sessions/s?limit=1")),
        (Method::DELETE, String::from("/v1/sessions/s")),
    ];
    for (method, path) in &of_shop {
        let response = api
            .gateway
            .send(api.request(method.clone(), path, BANK))
            .await;
        assert_eq!(response.status, 404, "{method} {path}: {}", response.body);
    }
    let seen = api.get(&format!("/v1/jobs/{job}"), SHOP).await.expect(200);
    assert_eq!(seen["status"], "queued", "{seen}");

    // The same session id and the same idempotency key are others for another tenant.
    let submit = async |key: &str| {
        let request = api.request(Method::POST, "/v1/jobs", key);
        let request = request
            .header("idempotency-key", "k")
            .json(&json!({ "input": "x", "session_id": "t" }));
        api.gateway.send(request).await
    };
    let (first, second) = (submit(SHOP).await, submit(BANK).await);
    assert_eq!(second.header("idempotency-replayed"), None);
    let (first, second) = (id_of(&first.expect(202)), id_of(&second.expect(202)));
    assert_ne!(first, second);
    let replayed = submit(BANK).await;
    assert_eq!(replayed.header("idempotency-replayed"), Some("true"));
    assert_eq!(id_of(&replayed.expect(202)), second);
    complete(&api, "bank", second).await;
    let session = api.get("/v1/sessions/t", BANK).await.expect(200);
    assert_eq!(session["turn_count"], 2, "{session}");
    let session = api.get("/v1/sessions/t", SHOP).await.expect(200);
    assert_eq!(session["turn_count"], 0, "{session}");

    let live = async |key: &str| {
        let queues = api.get("/v1/queues", key).await;
        queues.expect(200)["classes"]["interactive"]["live"].clone()
    };
    let is_two = |response: &ApiResponse| response.body["classes"]["interactive"]["live"] == 2;
    repeat_until(|| api.get("/v1/queues", OPERATOR), is_two).await;
    repeat_until(|| api.get("/v1/queues", SHOP), is_two).await;
    assert_eq!(live(BANK).await, 0);
}

async fn complete(api: &WithKeys, tenant: &str, job: JobId) {
    let lane = LaneKey::Session {
        tenant: TenantId::parse(tenant).expect("a tenant"),
        session: SessionId::parse("t").expect("a session"),
    };
    api.gateway.complete(&lane, job, "Done.").await;
}

#[tokio::test]
async fn a_key_that_is_removed_from_the_file_is_refused_and_a_new_one_is_valid() {
    let api = WithKeys::start().await;
    let path = api.folder.path().join("keys");
    let new = "new-0123456789-0123456789-0123456";
    fs::write(&path, format!("shop:{new}\n")).expect("the file is written");
    let changed = Instant::now();
    let is_refused = |response: &ApiResponse| response.status == 401;
    repeat_until(|| api.get("/v1/queues", SHOP), is_refused).await;
    println!("the key was refused after {:?}", changed.elapsed());
    api.get("/v1/queues", new).await.expect(200);
}
