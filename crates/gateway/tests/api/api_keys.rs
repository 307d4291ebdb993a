//! API keys: requests without one are refused, a key may do what its scopes say, and tenants do not see each other.

use std::{collections::BTreeSet, fs, sync::Arc, time::Instant};

use faulty_store::StoreCall;
use forebay_gateway::ApiKeysFile;
use forebay_shared::ids::{JobId, LaneKey, SessionId, TenantId};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
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

const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
/// What load balancers and people need first, without a key.
const OPEN: [&str; 7] = [
    "/",
    "/healthz",
    "/readyz",
    "/readyz/submits",
    "/openapi.json",
    "/docs",
    "/docs/{file}",
];

/// The operations of the OpenAPI document: the method, the path and the description.
async fn operations(gateway: &Fixture) -> Vec<(Method, String, Value)> {
    let document = gateway.get("/openapi.json").await.expect(200);
    let paths = document["paths"].as_object().expect("paths").clone();
    let operations = paths.into_iter().flat_map(|(path, operations)| {
        let operations = operations.as_object().expect("operations").clone();
        let operations = operations.into_iter().map(move |(method, operation)| {
            let method = Method::from_bytes(method.to_uppercase().as_bytes());
            (method.expect("a method"), path.clone(), operation)
        });
        operations.collect::<Vec<_>>()
    });
    operations.collect()
}

/// A path of a route, with the id of a job or session.
fn with_ids(path: &str, job: &str, session: &str) -> String {
    let path = path.replace("/jobs/{id}", &format!("/jobs/{job}"));
    path.replace("/sessions/{id}", &format!("/sessions/{session}"))
}

fn expect_challenge(response: &ApiResponse, challenge: &str) {
    assert_eq!(response.status, 401, "{}", response.body);
    assert_eq!(response.header("www-authenticate"), Some(challenge));
    // The response to HEAD has no body.
    assert!(response.body.is_null() || response.body["code"] == "unauthorized");
}

#[tokio::test]
async fn a_request_without_a_valid_key_is_refused() {
    let api = WithKeys::start().await;
    let unknown = &SHOP[1..];
    let closed = operations(&api.gateway).await;
    let paths = closed.iter().map(|(_, path, _)| path.as_str());
    let closed: BTreeSet<&str> = paths.filter(|path| !OPEN.contains(path)).collect();
    assert!(closed.len() >= 6, "{closed:?}");
    for (path, method) in closed
        .into_iter()
        .chain(["/v1/unknown", "/unknown"])
        .flat_map(|path| METHODS.map(|method| (path, method)))
    {
        let path = &with_ids(path, "job_0a00000000000000000000000000000001", "s");
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let request = || api.gateway.request(method.clone(), path);
        expect_challenge(
            &api.gateway.send(request()).await,
            r#"Bearer realm="forebay""#,
        );
        for key in [unknown, &SHOP.to_uppercase()] {
            let response = api.gateway.send(request().bearer_auth(key)).await;
            expect_challenge(
                &response,
                r#"Bearer realm="forebay", error="invalid_token""#,
            );
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
            expect_challenge(&response, r#"Bearer realm="forebay""#);
        }
        let two = request()
            .bearer_auth(SHOP)
            .header("authorization", format!("Bearer {BANK}"));
        expect_challenge(&api.gateway.send(two).await, r#"Bearer realm="forebay""#);
    }
    assert_eq!(api.gateway.live_jobs().await, 0);
    for path in OPEN {
        let path = path.replace("{file}", "start.js");
        assert_eq!(api.gateway.get(&path).await.status, 200, "{path}");
    }
    let lower = format!("bearer   {SHOP} ");
    let request = api.gateway.request(Method::GET, "/v1/queues");
    api.gateway
        .send(request.header("authorization", lower))
        .await
        .expect(200);
}

/// The document says which routes need a key, and which scope. Without keys, it has no security scheme.
#[tokio::test]
async fn the_document_states_which_routes_need_which_scope() {
    let api = WithKeys::start().await;
    for (method, path, operation) in operations(&api.gateway).await {
        let is_open = OPEN.contains(&path.as_str());
        let security = &operation["security"][0]["apiKey"];
        assert_eq!(security.is_array(), !is_open, "{method} {path}");
        let responses = &operation["responses"];
        assert_eq!(responses["401"].is_object(), !is_open, "{method} {path}");
        // A key without the described scope is refused, and one with it is not.
        let description = operation["description"].as_str().expect("a description");
        for (key, scope) in [
            (SHOP_READ, "read"),
            (SHOP_SUBMIT, "submit"),
            (OPERATOR, "admin"),
        ] {
            let path = with_ids(&path, "job_0a00000000000000000000000000000001", "s");
            let path = path.replace("{file}", "start.js");
            let response = api
                .gateway
                .send(api.request(method.clone(), &path, key))
                .await;
            let may = is_open || description.contains(&format!("`{scope}`"));
            assert_eq!(response.status != 403, may, "{method} {path} with {scope}");
        }
    }
    let without = Fixture::start().await;
    let document = without.get("/openapi.json").await.expect(200);
    assert!(document["components"]["securitySchemes"].is_null());
    for (method, path, operation) in operations(&without).await {
        assert!(operation["security"].is_null(), "{method} {path}");
        assert!(operation["responses"]["401"].is_null(), "{method} {path}");
    }
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
            (Method::POST, &format!("{job_path}/retry")),
            (Method::DELETE, &job_path),
            (Method::DELETE, "/v1/sessions/s"),
            (Method::PUT, "/v1/sessions/s"),
            (Method::PATCH, "/v1/sessions/s"),
            (Method::POST, "/v1/sessions/s/fork"),
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
    let before = (
        api.get(&format!("/v1/jobs/{job}"), SHOP).await.expect(200),
        api.get("/v1/sessions/s", SHOP).await.expect(200),
    );
    let mut tried = 0;
    for (method, path, operation) in operations(&api.gateway).await {
        // Ids of other kinds are only in the routes of operators.
        assert!(
            !path.contains('{')
                || path.contains("{id}")
                || path.starts_with("/v1/admin/")
                || OPEN.contains(&path.as_str()),
            "the test does not know the id in {path}"
        );
        // A PUT creates what the tenant does not have.
        let is_put = method == Method::PUT;
        if OPEN.contains(&path.as_str()) || !path.contains("{id}") || is_put {
            continue;
        }
        let content = operation["requestBody"]["content"].as_object();
        let media_type = content.and_then(|content| content.keys().next());
        let path = with_ids(&path, &job.to_string(), "s");
        for path in [
            path.clone(),
            format!("{path}?wait_s=1"),
            format!("{path}?limit=1"),
        ] {
            let mut request = api.request(method.clone(), &path, BANK);
            if let Some(media_type) = media_type {
                request = request.header("content-type", media_type).body("{}");
            }
            let response = api.gateway.send(request).await;
            // A route may not have the query parameter.
            let is_unknown_parameter = path.contains('?') && response.status == 400;
            assert!(
                response.status == 404 || is_unknown_parameter,
                "{method} {path}: {} {}",
                response.status,
                response.body
            );
            tried += u32::from(!is_unknown_parameter);
        }
    }
    assert!(tried >= 4, "{tried}");
    let request = api.request(Method::PUT, "/v1/sessions/s", BANK);
    let put = request.json(&json!({"attributes": {"of": "bank"}}));
    api.gateway.send(put).await.expect(201);
    let after = (
        api.get(&format!("/v1/jobs/{job}"), SHOP).await.expect(200),
        api.get("/v1/sessions/s", SHOP).await.expect(200),
    );
    assert_eq!(before.0, after.0);
    assert_eq!(before.1["attributes"], after.1["attributes"]);
    assert_eq!(before.1["turn_count"], after.1["turn_count"]);
    assert_eq!(before.1["live_jobs"], after.1["live_jobs"]);
    let seen = api.get(&format!("/v1/jobs/{job}"), SHOP).await.expect(200);
    assert_eq!(seen["status"], "queued", "{seen}");

    // The same session id and idempotency key of another tenant belong to another session and another job.
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

    // Only jobs of the same tenant count as ahead of a job.
    let has_ahead = |ahead: u64| {
        move |response: &ApiResponse| response.body["queue"]["ahead_in_class"] == ahead
    };
    repeat_until(|| api.submit("u", SHOP), has_ahead(2)).await;
    let of_bank = api.submit("u", BANK).await.expect(202);
    assert_eq!(of_bank["queue"]["ahead_in_class"], 0, "{of_bank}");
}

#[tokio::test]
async fn a_tenant_does_not_retry_or_delete_an_ended_job_of_another_one() {
    let api = WithKeys::start().await;
    let job = id_of(&api.submit("s", SHOP).await.expect(202));
    let path = format!("/v1/jobs/{job}");
    let (cancel, retry) = (format!("{path}/cancel"), format!("{path}/retry"));
    let send = async |method, path: &str, key: &str| {
        let request = api.request(method, path, key);
        api.gateway.send(request).await
    };
    send(Method::POST, &cancel, SHOP).await.expect(200);
    for (method, path) in [(Method::POST, &retry), (Method::DELETE, &path)] {
        let response = send(method, path, BANK).await;
        response.expect_problem(404, "job_not_found");
    }
    let seen = api.get(&path, SHOP).await.expect(200);
    assert_eq!(seen["status"], "cancelled", "{seen}");
    let list = api.get("/v1/jobs", SHOP).await.expect(200);
    assert_eq!(list["data"], json!([seen]));
    for parameters in ["", "?session_id=s", "?status=cancelled"] {
        let list = api.get(&format!("/v1/jobs{parameters}"), BANK).await;
        assert_eq!(list.expect(200)["data"], json!([]), "{parameters}");
    }
    assert_eq!(send(Method::DELETE, &path, SHOP).await.status, 204);
    send(Method::POST, &retry, SHOP)
        .await
        .expect_problem(404, "job_not_found");
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

/// A read and a submit wait while their key is removed.
#[tokio::test]
async fn a_request_that_waits_gets_no_reply_once_its_key_is_removed() {
    let api = WithKeys::start().await;
    let job = id_of(&api.submit("s", SHOP).await.expect(202));
    let path = format!("/v1/jobs/{job}?wait_s=60");
    let reading = api.get(&path, SHOP);
    let submit = api.request(Method::POST, "/v1/jobs?wait_s=60", SHOP);
    let submitting = api.gateway.send(submit.json(&job_in_session("s")));
    let meanwhile = async {
        api.gateway.store.wait_for_calls(StoreCall::Watch, 2).await;
        let keys = api.folder.path().join("keys");
        fs::write(&keys, format!("bank:{BANK}\noperator:{OPERATOR}:admin\n")).expect("written");
        let is_refused = |response: &ApiResponse| response.status == 401;
        repeat_until(|| api.get("/v1/queues", SHOP), is_refused).await;
        let lane = LaneKey::Session {
            tenant: TenantId::parse("shop").expect("a tenant"),
            session: SessionId::parse("s").expect("a session"),
        };
        api.gateway.complete_all_of(&lane).await;
    };
    let (read, submitted, ()) = tokio::join!(reading, submitting, meanwhile);
    expect_challenge(&read, r#"Bearer realm="forebay", error="invalid_token""#);
    let submitted = submitted.expect(202);
    assert_eq!(submitted["output"], Value::Null, "{submitted}");
}
