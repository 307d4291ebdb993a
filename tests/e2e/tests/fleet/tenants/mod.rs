//! The tenant `bank` sends requests with ids of the tenant `shop` to every route of the gateways' own OpenAPI document, over Redis. It
//! finds nothing and changes nothing. The routes, parameters and bodies are read from the document. For a new one, the test fails until
//! it is added here.

mod route;

use std::{collections::BTreeMap, fs};

use e2e::{
    client::{Answer, Client, id_of},
    fleet::{Fleet, TIMEOUT},
};
use http::Method;
use scripted_provider::{Gate, ProviderError, Recorded, ScriptedLlm};
use serde_json::{Value, json};
use servers::redis::RedisReply;
use tempfile::TempDir;

use self::route::{Route, send};
use crate::test_lock;

const SHOP: &str = "shop-0123456789-0123456789-012345";
const BANK: &str = "bank-0123456789-0123456789-012345";
const OPERATOR: &str = "operator-0123456789-0123456789-01";
/// A part of all texts of the shop.
const MARK: &str = "marked-text-of-the-shop";
/// The sessions of the shop.
const SESSIONS: [&str; 2] = ["s", "t"];
/// The idempotency key of the shop's first job.
const IDEMPOTENCY_KEY: &str = "k";
/// The sorted sets of Redis that tenants share: timers, heads of lanes, lists of jobs and sessions, and idle sessions.
const SHARED: [&str; 6] = ["t", "h", "jl", "sl", "su", "sx"];
/// The sorted sets that have the shop's live jobs and sessions.
const WITH_LIVE: [&str; 5] = ["t", "h", "jl", "sl", "w:shop|i"];

/// A fleet with what belongs to the tenant `shop`.
struct Fixture {
    fleet: Fleet,
    shop: Client,
    operator: Client,
    /// A client of each gateway with the key of the tenant `bank`.
    bank: [Client; 2],
    /// The shop's jobs: two ended ones, then for each session a running one and one behind it.
    jobs: Vec<String>,
    /// The `next_cursor` of each list of the shop.
    cursors: BTreeMap<String, String>,
    /// The id of an API key of the shop.
    key_id: String,
    /// Holds the running jobs back.
    gate: Gate,
    _llm: ScriptedLlm,
    _folder: TempDir,
}

impl Fixture {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder is made");
        let keys = folder.path().join("keys");
        let text = format!("shop:{SHOP}\nbank:{BANK}\noperator:{OPERATOR}:admin\n");
        fs::write(&keys, text).expect("the file is written");
        let llm = ScriptedLlm::start().await;
        let gate = llm.gate_requests(|request| request.last_user_text().contains("running"));
        llm.queue_replies("failing", [ProviderError::unauthorized().into()]);
        let fleet = Fleet::builder()
            .workers(1)
            .openai(&llm)
            .env("FOREBAY_API_KEYS_FILE", keys.display().to_string())
            .start()
            .await;
        let shop = fleet.client_of(0).with_api_key(SHOP);
        let operator = fleet.client_of(0).with_api_key(OPERATOR);
        let bank = [0, 1].map(|gateway| fleet.client_of(gateway).with_api_key(BANK));
        for session in SESSIONS {
            let settings =
                json!({ "attributes": {"of": MARK}, "defaults": {"instructions": MARK} });
            shop.put_session(session, &settings).await.expect(201);
        }
        let mut jobs = Vec::new();
        for (kind, session, key) in [("completing", "s", IDEMPOTENCY_KEY), ("failing", "t", "k2")] {
            let job = json!({ "input": format!("{MARK} {kind}"), "session_id": session });
            let id = id_of(&shop.submit_with_key(&job, key).await.expect(202)).to_owned();
            shop.wait(&id, TIMEOUT).await;
            jobs.push(id);
        }
        for session in SESSIONS {
            // A session with live jobs does not expire, so a read does not move its expiry.
            for kind in ["running", "queued"] {
                let job = json!({ "input": format!("{MARK} {kind}"), "session_id": session });
                jobs.push(id_of(&shop.submit_ok(&job).await).to_owned());
            }
        }
        let are_running = |records: &[Recorded]| {
            let running = records.iter().filter(|record| record.is_in_flight());
            running.count() == SESSIONS.len()
        };
        llm.wait_for("the running jobs", are_running).await;
        let limits = json!({ "live_jobs": {"quota": 1_000} });
        let path = "/v1/admin/tenants/shop/limits";
        send(
            &operator,
            Method::PUT,
            path,
            Some(("application/json", &limits)),
        )
        .await
        .expect(200);
        let key = json!({ "tenant": "shop", "name": MARK });
        let key = send(
            &operator,
            Method::POST,
            "/v1/admin/keys",
            Some(("application/json", &key)),
        );
        let key_id = id_of(&key.await.expect(201)).to_owned();
        let mut cursors = BTreeMap::new();
        for list in ["/v1/jobs", "/v1/sessions"] {
            let page = shop.get(&format!("{list}?limit=1")).await.expect(200);
            let cursor = page["next_cursor"]
                .as_str()
                .expect("the list has another page");
            cursors.insert(list.to_owned(), cursor.to_owned());
        }
        Self {
            fleet,
            shop,
            operator,
            bank,
            jobs,
            cursors,
            key_id,
            gate,
            _llm: llm,
            _folder: folder,
        }
    }

    /// All jobs, sessions, keys and limits of the shop, as the shop and the operator see them.
    async fn seen(&self) -> Vec<Value> {
        let mut seen = Vec::new();
        let jobs = self.jobs.iter().map(|job| format!("/v1/jobs/{job}"));
        let sessions = SESSIONS.map(|session| format!("/v1/sessions/{session}"));
        let lists = ["/v1/jobs", "/v1/sessions"].map(str::to_owned);
        for path in jobs.chain(sessions).chain(lists) {
            seen.push(self.shop.get(&path).await.expect(200));
        }
        for path in ["/v1/admin/keys", "/v1/admin/tenants/shop/limits"] {
            seen.push(self.operator.get(path).await.expect(200));
        }
        seen.iter_mut().for_each(remove_position);
        seen
    }

    /// Whether a name in Redis belongs to the shop.
    fn is_of_shop(&self, name: &str) -> bool {
        let has_job = self.jobs.iter().any(|job| name.contains(job));
        has_job || name.contains("shop/") || name.contains("shop|")
    }

    /// All keys of Redis whose names contain the shop or one of its jobs, with their values, and the shop's members of [`SHARED`] sets.
    /// The scores of those members are left out: the timer of a running job may be set anew.
    async fn stored(&self) -> BTreeMap<String, RedisReply> {
        let redis = &self.fleet.redis;
        let names = redis
            .command(&["KEYS", "*"])
            .await
            .expect("Redis returns the names");
        let RedisReply::Array(names) = names else {
            panic!("not a list: {names}");
        };
        let mut stored = BTreeMap::new();
        for name in names.iter().map(RedisReply::to_string) {
            let in_partition = name.rsplit_once("}:").map_or("", |(_, name)| name);
            if self.is_of_shop(&name) {
                let value = redis
                    .command(&["DUMP", &name])
                    .await
                    .expect("Redis returns the value");
                stored.insert(name, value);
            } else if SHARED.contains(&in_partition) {
                let members = redis.command(&["ZRANGE", &name, "0", "-1"]).await;
                let members = members.expect("Redis returns the members").to_string();
                let of_shop = members.lines().filter(|member| self.is_of_shop(member));
                let mut of_shop: Vec<&str> = of_shop.collect();
                of_shop.sort_unstable();
                if !of_shop.is_empty() {
                    stored.insert(name, RedisReply::Text(of_shop.join("\n").into_bytes()));
                }
            }
        }
        for set in WITH_LIVE {
            let end = format!("}}:{set}");
            let is_stored = stored.keys().any(|name| name.ends_with(&end));
            assert!(is_stored, "{set} is not in {:?}", stored.keys());
        }
        assert!(
            stored.len() >= self.jobs.len() + SESSIONS.len(),
            "{:?}",
            stored.keys()
        );
        stored
    }

    /// Asserts that an answer to the bank contains nothing of the shop.
    fn assert_not_of_shop(&self, answer: &Answer, request: &str) {
        let text = answer.body.to_string();
        let ids = self.jobs.iter().chain([&self.key_id]).map(String::as_str);
        for secret in ids.chain([MARK]) {
            assert!(!text.contains(secret), "{request}: {text}");
        }
    }

    /// The path of the route with the ids of the shop, once for each of its jobs or sessions.
    fn paths(&self, path: &str) -> Vec<String> {
        let ids: Vec<&str> = match path.strip_prefix("/v1/jobs/") {
            Some(_) => self.jobs.iter().map(String::as_str).collect(),
            None => SESSIONS.to_vec(),
        };
        let with_id = ids.iter().map(|id| {
            let path = path.replace("{tenant}", "shop");
            path.replace("{key_id}", &self.key_id).replace("{id}", id)
        });
        let mut paths: Vec<String> = with_id.collect();
        paths.dedup();
        assert!(
            !paths.iter().any(|path| path.contains('{')),
            "the test does not know the id in {path}"
        );
        paths
    }

    /// One query for each query parameter of the route. The value belongs to the shop, or excludes nothing of the shop.
    fn query(&self, route: &Route) -> Vec<String> {
        let value = |name: &str| match name {
            "session_id" => String::from("s"),
            "tenant" => String::from("shop"),
            "cursor" => self
                .cursors
                .get(&route.path)
                .cloned()
                .unwrap_or_else(|| String::from("x")),
            "status" => String::from("queued,in_progress,completed,failed"),
            "created_after" => String::from("2000-01-01T00:00:00Z"),
            "created_before" => String::from("2200-01-01T00:00:00Z"),
            "order" => String::from("asc"),
            "limit" | "wait_s" => String::from("1"),
            "after" => String::from("0"),
            other => panic!("the test does not know the parameter {other}"),
        };
        let parameters = route.operation["parameters"]
            .as_array()
            .into_iter()
            .flatten();
        let names = parameters.filter(|parameter| parameter["in"] == "query");
        let names = names.map(|parameter| {
            parameter["name"]
                .as_str()
                .expect("the parameter has a name")
        });
        names
            .map(|name| format!("?{name}={}", value(name)))
            .collect()
    }
}

/// Removes the positions of jobs in the queue, which change with the time.
fn remove_position(value: &mut Value) {
    if let Some(fields) = value.as_object_mut() {
        fields.remove("queue");
    }
    for job in value["data"].as_array_mut().into_iter().flatten() {
        remove_position(job);
    }
}

/// Asserts that the bank finds nothing of the shop, at either gateway.
async fn assert_not_found(fixture: &Fixture, routes: &[Route]) {
    let mut not_found = 0;
    for route in routes.iter().filter(|route| !route.makes_own()) {
        let has_id = route.path.contains('{');
        let expected = match route.is_for_operators() {
            true => 403,
            false if has_id => 404,
            false => 200,
        };
        not_found += usize::from(expected == 404);
        let queries = fixture.query(route).into_iter().chain([String::new()]);
        for query in queries {
            for path in fixture.paths(&route.path) {
                for bank in &fixture.bank {
                    let path = format!("{path}{query}");
                    let answer = route.send(bank, &path).await;
                    let request = format!("{} {path}", route.method);
                    assert_eq!(answer.status, expected, "{request}: {}", answer.body);
                    fixture.assert_not_of_shop(&answer, &request);
                    if answer.body["object"] == "list" {
                        assert_eq!(answer.body["data"], json!([]), "{request}");
                    }
                }
            }
        }
    }
    // Four routes of a job, and four of a session.
    assert!(not_found >= 8, "{not_found}");
    for bank in &fixture.bank {
        let queues = bank.queues().await.expect(200);
        assert_eq!(queues["classes"]["interactive"]["live"], 0, "{queues}");
    }
}

/// Asserts that the bank makes its own jobs and sessions when it uses the ids of the shop's.
async fn assert_own_are_made(fixture: &Fixture, routes: &[Route]) {
    let made: Vec<&Route> = routes.iter().filter(|route| route.makes_own()).collect();
    assert_eq!(made.len(), 2);
    for route in made {
        for path in fixture.paths(&route.path) {
            for bank in &fixture.bank {
                let answer = route.send(bank, &path).await;
                let request = format!("{} {path}", route.method);
                assert!(answer.status.is_success(), "{request}: {}", answer.body);
                fixture.assert_not_of_shop(&answer, &request);
                if let Some(job) = answer.body["session_id"]
                    .as_str()
                    .map(|_| id_of(&answer.body))
                {
                    let ended = bank.wait(job, TIMEOUT).await;
                    assert_eq!(ended["status"], "completed", "{ended}");
                }
            }
        }
    }
    let [first, second] = &fixture.bank;
    let body = json!({ "input": "of the bank", "session_id": "u" });
    let answer = first.submit_with_key(&body, IDEMPOTENCY_KEY).await;
    assert_eq!(answer.header("idempotency-replayed"), None);
    let own = id_of(&answer.expect(202)).to_owned();
    first.wait(&own, TIMEOUT).await;
    let replayed = second
        .submit_with_key(&body, IDEMPOTENCY_KEY)
        .await
        .expect(202);
    assert_eq!(id_of(&replayed), own);
    // The bank copies its own session, although a session of the shop has the same id.
    let copy = Some(("application/json", &json!({ "id": "copy" })));
    let copy = send(second, Method::POST, "/v1/sessions/s/fork", copy).await;
    assert_eq!(copy.expect(201)["attributes"], json!({"of": "bank"}));
    for bank in &fixture.bank {
        for path in [
            "/v1/jobs",
            "/v1/jobs?session_id=s",
            "/v1/sessions",
            "/v1/sessions/s",
        ] {
            let answer = bank.get(path).await;
            fixture.assert_not_of_shop(&answer, path);
            assert_ne!(answer.expect(200)["data"], json!([]), "{path}");
        }
    }
    for session in ["s", "t", "u", "copy"] {
        assert_eq!(
            second.delete_session(session).await.status,
            204,
            "{session}"
        );
    }
}

#[tokio::test]
async fn a_tenant_does_not_see_or_change_what_belongs_to_another_one() {
    let _guard = test_lock::shared().await;
    let fixture = Fixture::start().await;
    let routes = Route::all(&fixture.bank[1]).await;
    let (seen, stored) = (fixture.seen().await, fixture.stored().await);
    assert_not_found(&fixture, &routes).await;
    assert_own_are_made(&fixture, &routes).await;
    assert_eq!(fixture.stored().await, stored);
    assert_eq!(fixture.seen().await, seen);

    // The shop's jobs go on.
    fixture.gate.open();
    for job in &fixture.jobs[2..] {
        let ended = fixture.shop.wait(job, TIMEOUT).await;
        assert_eq!(ended["status"], "completed", "{ended}");
    }
    for (session, turns) in [("s", 6), ("t", 4)] {
        let session = fixture.shop.session(session).await.expect(200);
        assert_eq!(session["turn_count"], turns, "{session}");
    }
}
