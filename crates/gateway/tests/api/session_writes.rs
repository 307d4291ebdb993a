//! Tests of `PUT` and `PATCH /v1/sessions/{id}`, and of the defaults of sessions.

use std::sync::Arc;

use faulty_store::{Fault, StoreCall};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::fixture::{ApiResponse, Fixture, job_in_session, lane_of};

pub(crate) async fn put(gateway: &Fixture, path: &str, body: &Value) -> ApiResponse {
    let request = gateway.request(Method::PUT, path).json(body);
    gateway.send(request).await
}

async fn patch(gateway: &Fixture, path: &str, body: &Value) -> ApiResponse {
    let request = gateway.request(Method::PATCH, path);
    let request = request.header("content-type", "application/merge-patch+json");
    gateway.send(request.body(body.to_string())).await
}

pub(crate) fn whole_session() -> Value {
    json!({
        "turns": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Look."}]},
            {"role": "assistant", "tool_calls": [{
                "id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"},
            }]},
            {"role": "tool", "tool_call_id": "c1", "content": "A cat."},
        ],
        "attributes": {"user": "ada", "tags": ["a", null, {"b": 1.5}]},
        "defaults": {
            "model": "other",
            "instructions": "In French.",
            "tools": [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}],
            "context": {"max_turns": 5},
        },
    })
}

/// The turns of a session to write as a read shows them: with their numbers, from `first` on.
pub(crate) fn numbered(session: &Value, first: u64) -> Value {
    let turns = session["turns"].as_array().expect("turns").iter();
    let numbered = turns.zip(first..).map(|(turn, number)| {
        let mut turn = turn.clone();
        turn["number"] = json!(number);
        turn
    });
    numbered.collect()
}

#[tokio::test]
async fn what_a_get_shows_can_be_put_into_another_session() {
    let gateway = Fixture::start().await;
    put(&gateway, "/v1/sessions/s", &whole_session())
        .await
        .expect(201);
    let shown = gateway.get("/v1/sessions/s").await.expect(200);
    let copy = json!({
        "turns": shown["turns"], "attributes": shown["attributes"], "defaults": shown["defaults"],
    });
    put(&gateway, "/v1/sessions/t", &copy).await.expect(201);
    let copied = gateway.get("/v1/sessions/t").await.expect(200);
    for name in ["turns", "attributes", "defaults"] {
        assert_eq!(copied[name], shown[name], "{name}");
    }
}

#[tokio::test]
async fn a_put_creates_a_session_and_a_second_one_replaces_it() {
    let gateway = Fixture::start().await;
    let body = whole_session();
    let response = put(&gateway, "/v1/sessions/a%2Fb", &body).await;
    assert_eq!(response.header("location"), Some("/v1/sessions/a%2Fb"));
    let created = response.expect(201);
    let shown = gateway.get("/v1/sessions/a%2Fb").await.expect(200);
    assert_eq!(shown["turns"], numbered(&body, 0));
    for name in ["attributes", "defaults"] {
        assert_eq!(created[name], body[name], "{name}");
        assert_eq!(shown[name], body[name], "{name}");
    }
    assert_eq!(
        (&created["id"], &created["turn_count"]),
        (&json!("a/b"), &json!(4))
    );
    assert_eq!(created["created_at"], shown["created_at"]);
    assert!(created["expires_at"].is_string() && created.get("turns").is_none());

    // A field that a replacement leaves out becomes empty, and so does a field that is null.
    let replacement = json!({"turns": [{"role": "user", "content": "x"}], "defaults": null});
    let response = put(&gateway, "/v1/sessions/a%2Fb", &replacement).await;
    assert_eq!(response.header("location"), None);
    let replaced = response.expect(200);
    assert_eq!(replaced["created_at"], created["created_at"]);
    assert_eq!(
        (&replaced["attributes"], &replaced["defaults"]),
        (&json!({}), &json!({}))
    );
    let page = gateway.get("/v1/sessions/a%2Fb?after=3").await.expect(200);
    assert_eq!(
        page["turns"],
        numbered(&replacement, 4),
        "the numbers go on after 3"
    );
    put(&gateway, "/v1/sessions/a%2Fb", &json!({}))
        .await
        .expect(200);
    let empty = gateway.get("/v1/sessions/a%2Fb").await.expect(200);
    assert_eq!(
        (&empty["turns"], &empty["turn_count"]),
        (&json!([]), &json!(0))
    );
}

#[tokio::test]
async fn a_session_with_live_jobs_is_not_replaced() {
    let gateway = Fixture::start().await;
    let id = gateway.submit_accepted(&job_in_session("s")).await;
    let response = put(&gateway, "/v1/sessions/s", &whole_session()).await;
    response.expect_problem(409, "session_busy");
    gateway.complete(&lane_of("s"), id, "Hello.").await;
    put(&gateway, "/v1/sessions/s", &whole_session())
        .await
        .expect(200);
}

#[tokio::test]
async fn a_wrong_session_is_refused_with_all_its_faults() {
    let gateway = Fixture::start().await;
    let body = json!({
        "turns": [{"role": "user"}, {"role": "tool", "content": "x"}],
        "attributes": [],
        "defaults": {"model": " ", "tools": 1, "temperature": 1},
        "input": "x",
    });
    let problem = put(&gateway, "/v1/sessions/s", &body).await;
    let problem = problem.expect_problem(422, "invalid_request");
    let errors = problem["errors"].as_array().unwrap().iter();
    let mut fields: Vec<&str> = errors.filter_map(|error| error["field"].as_str()).collect();
    fields.sort_unstable();
    assert_eq!(
        fields,
        [
            "attributes",
            "defaults.model",
            "defaults.temperature",
            "defaults.tools",
            "input",
            "turns[0].content",
            "turns[1].tool_call_id",
        ]
    );
    // The fixture's sessions have at most 200 turns.
    let turn = json!({"role": "user", "content": "x"});
    let body = json!({"turns": vec![turn.clone(); 201]});
    let problem = put(&gateway, "/v1/sessions/s", &body).await;
    let problem = problem.expect_problem(422, "invalid_request");
    let message = problem["errors"][0]["message"].as_str().unwrap();
    assert!(message.contains("200"), "{message}");
    let largest = json!({"turns": vec![turn; 200]});
    put(&gateway, "/v1/sessions/s", &largest).await.expect(201);

    let text = gateway.request(Method::PUT, "/v1/sessions/s").body("{}");
    gateway
        .send(text)
        .await
        .expect_problem(415, "unsupported_media_type");
    let request = gateway.request(Method::PUT, "/v1/sessions/s");
    let broken = request.header("content-type", "application/json").body("{");
    gateway
        .send(broken)
        .await
        .expect_problem(400, "invalid_json");
    let long = format!("/v1/sessions/{}", "x".repeat(201));
    put(&gateway, &long, &json!({}))
        .await
        .expect_problem(404, "session_not_found");
    gateway.store.plan(StoreCall::PutSession, [Fault::Full]);
    put(&gateway, "/v1/sessions/s", &json!({}))
        .await
        .expect_problem(503, "store_full");
}

#[tokio::test]
async fn a_patch_changes_what_it_names() {
    let gateway = Fixture::start().await;
    let path = "/v1/sessions/s";
    let change = json!({"attributes": {"user": null, "n": {"x": 1}}});
    patch(&gateway, path, &change)
        .await
        .expect_problem(404, "session_not_found");
    put(&gateway, path, &whole_session()).await.expect(201);
    // A session with live jobs can be changed too.
    gateway.submit_accepted(&job_in_session("s")).await;
    let changed = patch(&gateway, path, &change).await.expect(200);
    let tags = json!(["a", null, {"b": 1.5}]);
    assert_eq!(changed["attributes"], json!({"tags": tags, "n": {"x": 1}}));
    assert_eq!(changed["defaults"], whole_session()["defaults"]);
    assert_eq!(
        (&changed["live_jobs"], &changed["turn_count"]),
        (&json!(1), &json!(4))
    );
    let change = json!({"defaults": {"model": null, "tools": [], "context": {"max_turns": 9}}});
    let changed = patch(&gateway, path, &change).await.expect(200);
    let expected = json!({"instructions": "In French.", "context": {"max_turns": 9}});
    assert_eq!(changed["defaults"], expected);
    let shown = gateway.get(path).await.expect(200);
    assert_eq!(shown["defaults"], expected);
    assert_eq!(shown["attributes"], changed["attributes"]);
}

#[tokio::test]
async fn a_wrong_patch_is_refused() {
    let gateway = Fixture::start().await;
    let path = "/v1/sessions/s";
    let attributes = json!({"attributes": {"a": "x".repeat(10_000)}});
    put(&gateway, path, &attributes).await.expect(201);
    for (body, field) in [
        (json!({"turns": []}), "turns"),
        (json!([]), "body"),
        (json!({"defaults": {"model": 1}}), "defaults.model"),
        // The result is too large.
        (
            json!({"attributes": {"b": "x".repeat(10_000)}}),
            "attributes",
        ),
    ] {
        let problem = patch(&gateway, path, &body).await;
        let problem = problem.expect_problem(422, "invalid_request");
        assert_eq!(problem["errors"][0]["field"], field, "{body}");
    }
    let request = gateway.request(Method::PATCH, path).json(&json!({}));
    let refused = gateway.send(request).await;
    assert_eq!(
        refused.header("accept-patch"),
        Some("application/merge-patch+json")
    );
    refused.expect_problem(415, "unsupported_media_type");
    let shown = gateway.get(path).await.expect(200);
    assert_eq!(shown["attributes"], attributes["attributes"]);
}

#[tokio::test]
async fn changes_at_the_same_time_are_all_made() {
    let gateway = Fixture::start().await;
    let path = "/v1/sessions/s";
    put(&gateway, path, &json!({})).await.expect(201);
    let names = ["a", "b", "c", "d", "e", "f"];
    let changes = names.map(|name| json!({"attributes": {name: 1}}));
    let patches = changes.iter().map(|change| patch(&gateway, path, change));
    for response in futures_util::future::join_all(patches).await {
        response.expect(200);
    }
    let shown = gateway.get(path).await.expect(200);
    let attributes = shown["attributes"].as_object().unwrap();
    assert_eq!(attributes.len(), names.len(), "{attributes:?}");
}

#[tokio::test]
async fn large_settings_are_shown_and_their_memory_is_given_back() {
    let gateway = Fixture::start().await;
    let path = "/v1/sessions/s";
    let instructions = "ü".repeat(100_000);
    let body = json!({"defaults": {"instructions": instructions}});
    put(&gateway, path, &body).await.expect(201);
    let shown = gateway.get(path).await.expect(200);
    assert_eq!(shown["defaults"], body["defaults"]);
    let change = json!({"defaults": {"model": "m"}});
    let changed = patch(&gateway, path, &change).await.expect(200);
    assert_eq!(changed["defaults"]["instructions"], instructions);
    let memory = &gateway.member.memory;
    for budget in [
        &memory.reads,
        &memory.small_bodies,
        &memory.bodies,
        &memory.parsed_bodies,
    ] {
        assert_eq!(budget.available(), budget.total());
    }
}

#[tokio::test]
async fn a_submit_without_a_model_gets_the_model_of_its_session() {
    let gateway = Fixture::with_settings(|settings| settings.default_model = None).await;
    let refused = gateway.submit(&job_in_session("s")).await;
    let problem = refused.expect_problem(422, "invalid_request");
    assert_eq!(problem["errors"][0]["field"], "model");
    let body = json!({"defaults": {"model": "of-session"}});
    put(&gateway, "/v1/sessions/s", &body).await.expect(201);
    let job = gateway.submit(&job_in_session("s")).await.expect(202);
    assert_eq!(job["model"], "of-session");
    let reads = gateway.store.call_count(StoreCall::SessionModel);
    let own = json!({"input": "x", "session_id": "s", "model": "own"});
    let job = gateway.submit(&own).await.expect(202);
    assert_eq!(job["model"], "own");
    let other = json!({"input": "x", "model": "own"});
    gateway.submit(&other).await.expect(202);
    let reads_after = gateway.store.call_count(StoreCall::SessionModel);
    assert_eq!(
        reads_after, reads,
        "a submit that names its model reads no session"
    );

    let gateway = Fixture::start().await;
    let job = gateway.submit(&job_in_session("s")).await.expect(202);
    assert_eq!(job["model"], "simulated");
    put(&gateway, "/v1/sessions/t", &body).await.expect(201);
    let job = gateway.submit(&job_in_session("t")).await.expect(202);
    assert_eq!(
        job["model"], "of-session",
        "the session's default model takes precedence over the gateway's"
    );
}

#[tokio::test]
async fn many_changes_at_once_are_all_made() {
    let gateway = Arc::new(Fixture::start().await);
    put(&gateway, "/v1/sessions/s", &json!({}))
        .await
        .expect(201);
    let mut changes = JoinSet::new();
    for number in 0..64 {
        let gateway = Arc::clone(&gateway);
        changes.spawn(async move {
            let change = json!({"attributes": {format!("k{number}"): number}});
            patch(&gateway, "/v1/sessions/s", &change).await.expect(200);
        });
    }
    changes.join_all().await;
    let shown = gateway.get("/v1/sessions/s").await.expect(200);
    assert_eq!(
        shown["attributes"].as_object().map(serde_json::Map::len),
        Some(64)
    );
}

#[tokio::test]
async fn a_patch_with_the_method_put_replaces_nothing() {
    let gateway = Fixture::start().await;
    put(&gateway, "/v1/sessions/s", &whole_session())
        .await
        .expect(201);
    for media_type in [
        "application/merge-patch+json",
        "application/json-patch+json",
    ] {
        let request = gateway.request(Method::PUT, "/v1/sessions/s");
        let request = request.header("content-type", media_type).body("{}");
        gateway
            .send(request)
            .await
            .expect_problem(415, "unsupported_media_type");
    }
    let shown = gateway.get("/v1/sessions/s").await.expect(200);
    assert_eq!(shown["turn_count"], 4);
}
