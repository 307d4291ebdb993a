//! API keys of the store: an admin key makes, lists and revokes them, and they work like those of the file.

use std::{fs, sync::Arc, time::Instant};

use faulty_store::{StoreCall, StoreMode};
use forebay_engine::embedded::Embedded;
use forebay_gateway::ApiKeysFile;
use forebay_shared::ids::{LaneKey, SessionId, TenantId};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::fixture::{ApiResponse, Fixture, id_of, job_in_session, repeat_until};

const ADMIN: &str = "admin-0123456789-0123456789-01234";
const READER: &str = "reader-0123456789-0123456789-0123";
const KEYS: &str = "/v1/admin/keys";

/// A gateway whose file has an admin key and one that may only read.
struct Gateway {
    fixture: Fixture,
    _folder: TempDir,
}

fn keys_file() -> (TempDir, Arc<ApiKeysFile>) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("keys");
    let text = format!("operator:{ADMIN}:admin\nshop:{READER}:read\n");
    fs::write(&path, text).expect("the file is written");
    let keys = ApiKeysFile::open(&path).expect("the keys are valid");
    (folder, Arc::new(keys))
}

impl Gateway {
    async fn start() -> Self {
        let (folder, keys) = keys_file();
        let fixture = Fixture::with_settings(|settings| settings.api_keys = Some(keys));
        Self {
            fixture: fixture.await,
            _folder: folder,
        }
    }

    fn request(&self, method: Method, path: &str, key: &str) -> RequestBuilder {
        self.fixture.request(method, path).bearer_auth(key)
    }

    async fn get(&self, path: &str, key: &str) -> ApiResponse {
        let request = self.request(Method::GET, path, key);
        self.fixture.send(request).await
    }

    async fn create(&self, body: &Value) -> ApiResponse {
        let request = self.request(Method::POST, KEYS, ADMIN);
        self.fixture.send(request.json(body)).await
    }

    /// Makes a key. Returns its id and the key.
    async fn create_key(&self, body: &Value) -> (String, String) {
        let created = self.create(body).await.expect(201);
        let text = |name: &str| created[name].as_str().expect("a text").to_owned();
        (text("id"), text("key"))
    }

    async fn revoke(&self, id: &str) -> ApiResponse {
        let path = format!("{KEYS}/{id}");
        let request = self.request(Method::DELETE, &path, ADMIN);
        self.fixture.send(request).await
    }

    async fn submit(&self, session: &str, key: &str) -> ApiResponse {
        let request = self.request(Method::POST, "/v1/jobs", key);
        self.fixture
            .send(request.json(&job_in_session(session)))
            .await
    }
}

#[tokio::test]
async fn a_key_is_shown_once_and_may_do_what_its_scopes_say() {
    let api = Gateway::start().await;
    let body =
        json!({ "tenant": "shop", "name": "the shop's server", "scopes": ["read", "submit"] });
    let response = api.create(&body).await;
    assert_eq!(response.header("cache-control"), Some("no-store"));
    let created = response.expect(201);
    let key = created["key"].as_str().expect("the key").to_owned();
    assert!(key.starts_with("fbk_") && key.len() == 50, "{created}");
    let mut shown = created.clone();
    let fields = shown.as_object_mut().expect("an object");
    fields.remove("key");
    assert_eq!(shown["object"], "api_key");
    assert_eq!(shown["tenant"], "shop");
    assert_eq!(shown["name"], "the shop's server");
    assert_eq!(shown["scopes"], json!(["submit", "read"]));
    assert_eq!(shown["expires_at"], Value::Null);
    assert_eq!(shown["last_used_at"], Value::Null);
    let list = api.get(KEYS, ADMIN).await.expect(200);
    assert_eq!(
        list["data"],
        json!([shown]),
        "the file's keys are not listed"
    );
    assert_eq!(list["next_cursor"], Value::Null);
    assert!(!list.to_string().contains(&key));

    let job = id_of(&api.submit("s", &key).await.expect(202));
    let path = format!("/v1/jobs/{job}");
    api.get(&path, &key).await.expect(200);
    api.get(&path, READER).await.expect(200);
    for (method, path) in [
        (Method::GET, KEYS),
        (Method::POST, KEYS),
        (Method::DELETE, "/v1/admin/keys/x"),
    ] {
        for key in [&key, READER] {
            let request = api.request(method.clone(), path, key);
            let response = api.fixture.send(request).await;
            response.expect_problem(403, "insufficient_scope");
        }
    }
    let (_, other) = api.create_key(&json!({ "tenant": "bank" })).await;
    api.get(&path, &other).await.expect(404);
    api.submit("s", &other).await.expect(202);
    let (_, admin) = api
        .create_key(&json!({ "tenant": "ops", "scopes": ["admin"] }))
        .await;
    api.get(KEYS, &admin).await.expect(200);
    api.submit("s", &admin).await.expect(403);

    let used = |response: &ApiResponse| response.body["data"][2]["last_used_at"].is_string();
    repeat_until(|| api.get(KEYS, ADMIN), used).await;
}

#[tokio::test]
async fn a_revoked_key_is_refused_at_once_and_its_successor_is_not() {
    let api = Gateway::start().await;
    let body = json!({ "tenant": "shop" });
    let (old_id, old) = api.create_key(&body).await;
    let (_, new) = api.create_key(&body).await;
    for key in [&old, &new] {
        api.get("/v1/queues", key).await.expect(200);
    }
    assert_eq!(api.revoke(&old_id).await.status, 204);
    let refused = api.get("/v1/queues", &old).await;
    let challenge = r#"Bearer realm="forebay", error="invalid_token""#;
    assert_eq!(refused.header("www-authenticate"), Some(challenge));
    refused.expect_problem(401, "unauthorized");
    api.get("/v1/queues", &new).await.expect(200);
    for id in [old_id.as_str(), "key_0123456789abcdef", "key_", "x"] {
        api.revoke(id)
            .await
            .expect_problem(404, "api_key_not_found");
    }
}

#[tokio::test]
async fn a_key_expires() {
    let api = Gateway::start().await;
    let body = json!({ "tenant": "shop", "expires_in_s": 1 });
    let created = api.create(&body).await.expect(201);
    assert!(created["expires_at"].is_string(), "{created}");
    let key = created["key"].as_str().expect("the key");
    let is_refused = |response: &ApiResponse| response.status == 401;
    let began = Instant::now();
    let refused = repeat_until(|| api.get("/v1/queues", key), is_refused).await;
    refused.expect_problem(401, "unauthorized");
    println!("the key was refused after {:?}", began.elapsed());
    let list = api.get(KEYS, ADMIN).await.expect(200);
    assert_eq!(
        list["data"][0]["id"], created["id"],
        "an expired key is listed"
    );
}

#[tokio::test]
async fn all_faults_of_a_request_for_a_key_are_in_one_answer() {
    let api = Gateway::start().await;
    let body = json!({ "tenant": "", "scopes": [], "name": "", "expires_in_s": 0, "key": "x" });
    let problem = api
        .create(&body)
        .await
        .expect_problem(422, "invalid_request");
    let fields = problem["errors"].as_array().expect("the errors").iter();
    let fields: Vec<_> = fields
        .map(|error| error["field"].as_str().unwrap_or_default())
        .collect();
    assert_eq!(fields, ["tenant", "scopes", "name", "expires_in_s", "key"]);
    for (body, status, code) in [
        ("", 400, "invalid_json"),
        ("{", 400, "invalid_json"),
        ("[]", 422, "invalid_request"),
        ("{}", 422, "invalid_request"),
    ] {
        let request = api.request(Method::POST, KEYS, ADMIN);
        let request = request.header("content-type", "application/json");
        let response = api.fixture.send(request.body(body)).await;
        response.expect_problem(status, code);
    }
    let request = api.request(Method::POST, KEYS, ADMIN).body("{}");
    api.fixture
        .send(request)
        .await
        .expect_problem(415, "unsupported_media_type");
    assert_eq!(api.get(KEYS, ADMIN).await.expect(200)["data"], json!([]));
}

#[tokio::test]
async fn keys_are_listed_in_pages_while_keys_are_made_and_revoked() {
    let api = Gateway::start().await;
    let mut ids = Vec::new();
    for number in 0..7 {
        let tenant = if number % 2 == 0 { "shop" } else { "bank" };
        let (id, _) = api
            .create_key(&json!({ "tenant": tenant, "name": number.to_string() }))
            .await;
        ids.push(id);
    }
    let mut seen = Vec::new();
    let mut path = format!("{KEYS}?limit=2");
    loop {
        let page = api.get(&path, ADMIN).await.expect(200);
        let data = page["data"].as_array().expect("the keys");
        assert!(data.len() <= 2, "{page}");
        let page_ids = data
            .iter()
            .map(|key| key["id"].as_str().expect("an id").to_owned());
        seen.extend(page_ids);
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("{KEYS}?limit=2&cursor={cursor}");
        // Neither a newer key nor the removal of the page's last key moves the next page.
        api.create_key(&json!({ "tenant": "new" })).await;
        if seen.len() == 4 {
            assert_eq!(api.revoke(&seen[3]).await.status, 204);
        }
    }
    // Keys that were made within a millisecond are in the order of their ids.
    seen.sort();
    ids.sort();
    assert_eq!(seen, ids);
    let list = api
        .get(&format!("{KEYS}?tenant=bank"), ADMIN)
        .await
        .expect(200);
    let tenants = list["data"].as_array().expect("the keys").iter();
    let tenants: Vec<_> = tenants.map(|key| &key["tenant"]).collect();
    assert!(tenants.iter().all(|tenant| **tenant == "bank"), "{list}");
    for query in ["limit=0", "limit=101", "cursor=x", "tenant="] {
        let response = api.get(&format!("{KEYS}?{query}"), ADMIN).await;
        response.expect_problem(422, "invalid_request");
    }
}

#[tokio::test]
async fn a_gateway_that_requires_no_keys_manages_none() {
    let api = Fixture::start().await;
    let create = api.request(Method::POST, KEYS);
    let create = api.send(create.json(&json!({ "tenant": "shop" }))).await;
    let revoke = api.delete(&format!("{KEYS}/key_0123456789abcdef")).await;
    for response in [create, revoke, api.get(KEYS).await] {
        let problem = response.expect_problem(409, "api_keys_not_required");
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(detail.contains("FOREBAY_API_KEYS_FILE"), "{detail}");
    }
}

/// A gateway that starts while the store is away accepts the keys of its file, and answers 503 to keys that it may know later.
#[tokio::test]
async fn before_the_first_read_a_stored_key_gets_503() {
    let first = Gateway::start().await;
    let (_, key) = first.create_key(&json!({ "tenant": "shop" })).await;
    first.fixture.store.set_mode(StoreMode::Down);
    let (folder, keys) = keys_file();
    let store = Arc::clone(&first.fixture.store) as _;
    let engine = Embedded::open(folder.path().join("other").as_path()).expect("the engine opens");
    let second = Fixture::over(
        store,
        &engine,
        tempfile::tempdir().expect("a folder"),
        |settings| {
            settings.api_keys = Some(keys);
        },
    )
    .await;
    let get = async |key: &str| {
        let request = second.request(Method::GET, "/v1/unknown").bearer_auth(key);
        second.send(request).await
    };
    get(&key).await.expect_problem(503, "store_unavailable");
    get(READER).await.expect_problem(404, "not_found");
    get("unknown-0123456789-0123456789-012")
        .await
        .expect_problem(401, "unauthorized");
    get(&format!("{key}0"))
        .await
        .expect_problem(401, "unauthorized");

    first.fixture.store.set_mode(StoreMode::Up);
    let is_known = |response: &ApiResponse| response.status == 404;
    repeat_until(|| get(&key), is_known).await;
    // From then on, the last known keys stay valid.
    first.fixture.store.set_mode(StoreMode::Down);
    get(&key).await.expect_problem(404, "not_found");
    first.fixture.store.set_mode(StoreMode::Up);
    drop(folder);
}

/// A read and a submit wait while their key is revoked.
#[tokio::test]
async fn a_request_that_waits_gets_no_reply_once_its_key_is_revoked() {
    let api = Gateway::start().await;
    let (id, key) = api.create_key(&json!({ "tenant": "shop" })).await;
    let job = id_of(&api.submit("s", &key).await.expect(202));
    let path = format!("/v1/jobs/{job}?wait_s=60");
    let reading = api.get(&path, &key);
    let submit = api.request(Method::POST, "/v1/jobs?wait_s=60", &key);
    let submitting = api.fixture.send(submit.json(&job_in_session("s")));
    let meanwhile = async {
        api.fixture.store.wait_for_calls(StoreCall::Watch, 2).await;
        assert_eq!(api.revoke(&id).await.status, 204);
        let lane = LaneKey::Session {
            tenant: TenantId::parse("shop").expect("a tenant"),
            session: SessionId::parse("s").expect("a session"),
        };
        api.fixture.complete_all_of(&lane).await;
    };
    let (read, submitted, ()) = tokio::join!(reading, submitting, meanwhile);
    read.expect_problem(401, "unauthorized");
    let submitted = submitted.expect(202);
    assert_eq!(submitted["output"], Value::Null, "{submitted}");
}

/// A request with a stored key costs no more calls of the store than one with a key of the file.
#[tokio::test]
async fn a_request_costs_no_call_of_the_store_for_its_key() {
    let api = Gateway::start().await;
    let (_, key) = api.create_key(&json!({ "tenant": "shop" })).await;
    let reads = api.fixture.store.call_count(StoreCall::ApiKeys);
    let began = Instant::now();
    for _ in 0..200 {
        api.get("/v1/unknown", &key)
            .await
            .expect_problem(404, "not_found");
    }
    let reads = api.fixture.store.call_count(StoreCall::ApiKeys) - reads;
    // The task reads every two seconds.
    let reads_of_task = usize::try_from(began.elapsed().as_secs() / 2 + 2).expect("a number");
    assert!(reads <= reads_of_task, "{reads} reads");
    let writes = api.fixture.store.call_count(StoreCall::RecordApiKeyUses);
    assert!(writes <= 2, "{writes} records of uses");
}

/// Sends a request whose body arrives only after its key was revoked. Returns the status line.
async fn revoked_during_the_body(api: &Gateway, method: &str, path: &str, body: &str) -> String {
    let scopes = json!({ "tenant": "shop", "scopes": ["admin", "submit", "read"] });
    let (id, key) = api.create_key(&scopes).await;
    let content_type = match method {
        "PATCH" => "application/merge-patch+json",
        _ => "application/json",
    };
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\nContent-Type: {content_type}\r\n\
         Content-Length: {}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let stream = TcpStream::connect(api.fixture.address).await;
    let mut stream = stream.expect("the gateway accepts the connection");
    stream.write_all(head.as_bytes()).await.expect("sent");
    // The gateway asks for the body once it has accepted the key.
    let mut received = vec![0; 25];
    stream.read_exact(&mut received).await.expect("a response");
    assert_eq!(received, b"HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(api.revoke(&id).await.status, 204);
    stream.write_all(body.as_bytes()).await.expect("sent");
    let mut response = String::new();
    stream
        .read_to_string(&mut response)
        .await
        .expect("a response");
    assert!(response.contains("error=\"invalid_token\""), "{response}");
    response.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_key_that_is_revoked_while_the_body_arrives_is_refused() {
    let api = Gateway::start().await;
    for (method, path, body) in [
        ("POST", "/v1/jobs", r#"{"input": "x", "session_id": "s"}"#),
        ("POST", KEYS, r#"{"tenant": "evil", "scopes": ["admin"]}"#),
        (
            "PUT",
            "/v1/admin/tenants/shop/limits",
            r#"{"live_jobs": {"quota": 1}}"#,
        ),
        ("PUT", "/v1/sessions/s", "{}"),
        ("PATCH", "/v1/sessions/s", r#"{"attributes": {"a": 1}}"#),
        ("POST", "/v1/sessions/s/fork", "{}"),
    ] {
        let status = revoked_during_the_body(&api, method, path, body).await;
        assert_eq!(status, "HTTP/1.1 401 Unauthorized", "{method} {path}");
    }
    assert_eq!(api.fixture.live_jobs().await, 0);
    let keys = api.get(KEYS, ADMIN).await.expect(200);
    assert_eq!(keys["data"], json!([]));
    api.get("/v1/sessions/s", READER)
        .await
        .expect_problem(404, "session_not_found");
}
