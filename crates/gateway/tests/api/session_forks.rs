//! Tests of `POST /v1/sessions/{id}/fork`.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    fixture::{ApiResponse, Fixture, job_in_session},
    session_writes::{numbered, put, whole_session},
};

async fn fork(gateway: &Fixture, path: &str, body: &Value) -> ApiResponse {
    let request = gateway.request(Method::POST, &format!("{path}/fork"));
    gateway.send(request.json(body)).await
}

#[tokio::test]
async fn a_fork_has_the_turns_up_to_a_number_and_the_settings() {
    let gateway = Fixture::start().await;
    let path = "/v1/sessions/s";
    fork(&gateway, path, &json!({}))
        .await
        .expect_problem(404, "session_not_found");
    put(&gateway, path, &whole_session()).await.expect(201);
    // The turns of the replaced session begin with the number 4. A session with live jobs can be forked.
    put(&gateway, path, &whole_session()).await.expect(200);
    gateway.submit_accepted(&job_in_session("s")).await;
    let response = fork(&gateway, path, &json!({"id": "t", "up_to_turn": 5})).await;
    assert_eq!(response.header("location"), Some("/v1/sessions/t"));
    let forked = response.expect(201);
    assert_eq!(
        (&forked["turn_count"], &forked["live_jobs"]),
        (&json!(2), &json!(0))
    );
    let shown = gateway.get("/v1/sessions/t").await.expect(200);
    let source = whole_session();
    assert_eq!(
        shown["turns"].as_array().unwrap()[..],
        numbered(&source, 0).as_array().unwrap()[..2]
    );
    for name in ["attributes", "defaults"] {
        assert_eq!(shown[name], source[name], "{name}");
    }
    for number in [3, 8] {
        let refused = fork(&gateway, path, &json!({"up_to_turn": number})).await;
        let problem = refused.expect_problem(422, "invalid_request");
        assert_eq!(problem["errors"][0]["field"], "up_to_turn", "{number}");
    }
    for id in ["t", "s"] {
        let refused = fork(&gateway, path, &json!({"id": id})).await;
        refused.expect_problem(409, "session_exists");
    }
    let without_body = gateway.post(&format!("{path}/fork")).await.expect(201);
    assert_eq!(without_body["turn_count"], 4);
    let own = fork(&gateway, path, &json!({})).await.expect(201);
    assert_eq!(own["turn_count"], 4);
    let id = own["id"].as_str().unwrap();
    assert!(id.starts_with("session_"), "{id}");
    gateway.get(&format!("/v1/sessions/{id}")).await.expect(200);
    let refused = fork(&gateway, path, &json!({"id": "é".repeat(150)})).await;
    refused.expect_problem(422, "invalid_request");
}

#[tokio::test]
async fn a_large_session_is_forked_and_its_memory_is_given_back() {
    let gateway = Fixture::start().await;
    let turn = json!({"role": "user", "content": "ü".repeat(500_000)});
    let body = json!({"turns": [turn, turn, turn, turn, turn, turn]});
    put(&gateway, "/v1/sessions/s", &body).await.expect(201);
    fork(&gateway, "/v1/sessions/s", &json!({"id": "t"}))
        .await
        .expect(201);
    let shown = gateway.get("/v1/sessions/t").await.expect(200);
    assert_eq!(shown["turns"], numbered(&body, 0));
    let memory = &gateway.member.memory;
    for budget in [&memory.reads, &memory.parsed_bodies] {
        assert_eq!(budget.available(), budget.total());
    }
}
