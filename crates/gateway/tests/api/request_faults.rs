//! Tests of requests with faults in several parts: one response names all, each with its part of the request.

use std::{fs, sync::Arc};

use forebay_gateway::ApiKeysFile;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use crate::fixture::{ApiResponse, Fixture};

/// A key with all scopes.
const KEY: &str = "all-0123456789-0123456789-0123456";

/// The faults of a problem: the part of the request, and the field.
#[track_caller]
fn faults(problem: &Value) -> Vec<(&str, &str)> {
    let errors = problem["errors"].as_array().expect("the errors");
    errors.iter().map(fault).collect()
}

#[track_caller]
fn fault(error: &Value) -> (&str, &str) {
    let parts = ["in", "field", "message"].map(|name| error[name].as_str());
    let [Some(part), Some(field), Some(message)] = parts else {
        panic!("a part is missing: {error}");
    };
    assert!(message.len() > 10, "{error}");
    (part, field)
}

fn submit(gateway: &Fixture, query: &str) -> RequestBuilder {
    gateway.request(Method::POST, &format!("/v1/jobs{query}"))
}

#[tokio::test]
async fn one_response_names_the_faults_of_the_query_the_headers_and_the_body() {
    let gateway = Fixture::start().await;
    let json = ("content-type", "application/json");
    let text = ("content-type", "text/plain");
    let bad_key = ("idempotency-key", "\"open");
    let bad_body = r#"{"input": "", "temperature": 7}"#;
    let (wait, key) = (("query", "wait_s"), ("header", "Idempotency-Key"));
    let (input, temperature) = (("body", "input"), ("body", "temperature"));
    let (unknown, media_type) = (("query", "wait"), ("header", "Content-Type"));
    let whole_body = ("body", "body");
    for (query, headers, body, status, code, expected) in [
        (
            "?wait_s=61",
            &[json, bad_key][..],
            bad_body,
            422,
            "invalid_request",
            &[wait, key, input, temperature][..],
        ),
        (
            "",
            &[json, bad_key],
            bad_body,
            422,
            "invalid_request",
            &[key, input, temperature],
        ),
        (
            "?wait_s=1",
            &[json],
            bad_body,
            422,
            "invalid_request",
            &[input, temperature],
        ),
        // The lowest status wins.
        (
            "?wait_s=61&wait=5",
            &[json, bad_key],
            bad_body,
            400,
            "unknown_parameter",
            &[unknown, wait, key, input, temperature],
        ),
        (
            "?wait=5",
            &[json],
            "{",
            400,
            "unknown_parameter",
            &[unknown, whole_body],
        ),
        (
            "?wait_s=61",
            &[json, bad_key],
            "{",
            400,
            "invalid_json",
            &[whole_body, wait, key],
        ),
        (
            "?wait_s=x",
            &[json],
            "",
            400,
            "invalid_json",
            &[whole_body, wait],
        ),
        // A body of another type is not read as JSON.
        (
            "?wait_s=61",
            &[text, bad_key],
            bad_body,
            415,
            "unsupported_media_type",
            &[media_type, wait, key],
        ),
        (
            "?wait=5",
            &[text],
            bad_body,
            400,
            "unknown_parameter",
            &[unknown, media_type],
        ),
    ] {
        let mut request = submit(&gateway, query).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let problem = gateway.send(request).await.expect_problem(status, code);
        assert_eq!(faults(&problem), expected, "{query} {headers:?} {body}");
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(detail.starts_with(expected[0].1), "{detail}");
    }
    assert_eq!(gateway.live_jobs().await, 0);
}

#[tokio::test]
async fn a_response_names_at_most_16_faults() {
    let gateway = Fixture::start().await;
    let names: Vec<String> = (0..40).map(|index| format!("x{index}=1")).collect();
    let query = format!("?{}", names.join("&"));
    let request = submit(&gateway, &query).header("content-type", "application/json");
    let response = gateway.send(request.body(r#"{"input": ""}"#)).await;
    let problem = response.expect_problem(400, "unknown_parameter");
    assert_eq!(faults(&problem).len(), 16);
}

/// A gateway with keys.
async fn with_keys() -> (Fixture, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("keys");
    fs::write(&path, format!("default:{KEY}:submit,read,admin\n")).expect("the file is written");
    let keys = ApiKeysFile::open(&path).expect("the keys are valid");
    let gateway = Fixture::with_settings(|settings| settings.api_keys = Some(Arc::new(keys)));
    (gateway.await, folder)
}

/// The routes are read from the document, so a new one cannot be forgotten.
#[tokio::test]
async fn every_route_with_a_body_names_the_faults_of_its_query_too() {
    let (gateway, _folder) = with_keys().await;
    let document = gateway.get("/openapi.json").await.expect(200);
    let mut tried = 0;
    for (path, operations) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in operations.as_object().into_iter().flatten() {
            let content = operation["requestBody"]["content"].as_object();
            let Some(media_type) = content.and_then(|content| content.keys().next()) else {
                continue;
            };
            tried += 1;
            let path = path.replace("{tenant}", "shop").replace("{id}", "s");
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
            let send = async |query: &str, body: &'static str| -> ApiResponse {
                let request = gateway.request(method.clone(), &format!("{path}{query}"));
                let request = request.header("content-type", media_type).bearer_auth(KEY);
                gateway.send(request.body(body)).await
            };
            let body = r#"{"no_such_field": 1}"#;
            let problem = send("?no_such=1", body).await;
            let problem = problem.expect_problem(400, "unknown_parameter");
            let named = faults(&problem);
            assert_eq!(named[0], ("query", "no_such"), "{method} {path}");
            assert!(
                named.contains(&("body", "no_such_field")),
                "{method} {path}: {named:?}"
            );
            let alone = send("?no_such=1", "{").await;
            let alone = alone.expect_problem(400, "unknown_parameter");
            assert_eq!(faults(&alone), [("query", "no_such"), ("body", "body")]);
            let problem = send("", body).await.expect_problem(422, "invalid_request");
            assert!(
                faults(&problem).contains(&("body", "no_such_field")),
                "{problem}"
            );
        }
    }
    assert!(tried >= 6, "{tried}");
}

#[tokio::test]
async fn the_faults_of_a_path_are_named_too() {
    let (gateway, _folder) = with_keys().await;
    let (query, path) = (("query", "x"), ("path", "tenant"));
    let body = ("body", "tokens");
    for (method, expected) in [
        (Method::GET, &[query, path][..]),
        (Method::DELETE, &[query, path][..]),
        (Method::PUT, &[query, path, body][..]),
    ] {
        let request = gateway.request(method.clone(), "/v1/admin/tenants/a%20b/limits?x=1");
        let request = request.header("content-type", "application/json");
        let request = request.bearer_auth(KEY).body(r#"{"tokens": 1}"#);
        let problem = gateway.send(request).await;
        let problem = problem.expect_problem(400, "unknown_parameter");
        assert_eq!(faults(&problem), expected, "{method}");
    }
}

/// No key can name a tenant with a colon, because the colon ends the tenant in the keys file.
#[tokio::test]
async fn all_routes_accept_the_same_names_of_tenants() {
    let (gateway, _folder) = with_keys().await;
    let keys = "/v1/admin/keys";
    let limits = "/v1/admin/tenants/a%3Ab/limits";
    let mut messages = Vec::new();
    for (method, path, body, part) in [
        (Method::POST, keys, r#"{"tenant": "a:b"}"#, "body"),
        (Method::GET, "/v1/admin/keys?tenant=a%3Ab", "", "query"),
        (Method::GET, limits, "", "path"),
        (Method::PUT, limits, "{}", "path"),
        (Method::DELETE, limits, "", "path"),
    ] {
        let request = gateway.request(method, path).bearer_auth(KEY);
        let request = request.header("content-type", "application/json");
        let problem = gateway.send(request.body(body)).await;
        let problem = problem.expect_problem(422, "invalid_request");
        assert_eq!(faults(&problem), [(part, "tenant")]);
        messages.push(problem["errors"][0]["message"].clone());
    }
    assert!(messages.iter().all(|message| *message == messages[0]));

    let document = gateway.get("/openapi.json").await.expect(200);
    let schema_of = |path: &str, method: &str| {
        let parameters = document["paths"][path][method]["parameters"].as_array();
        let mut parameters = parameters.into_iter().flatten();
        let tenant = parameters.find(|parameter| parameter["name"] == "tenant");
        tenant.expect("the parameter")["schema"].clone()
    };
    let published = [
        document["components"]["schemas"]["NewApiKey"]["properties"]["tenant"].clone(),
        schema_of(keys, "get"),
        schema_of("/v1/admin/tenants/{tenant}/limits", "get"),
        schema_of("/v1/admin/tenants/{tenant}/limits", "put"),
        schema_of("/v1/admin/tenants/{tenant}/limits", "delete"),
    ];
    for schema in &published {
        for keyword in ["type", "pattern", "minLength", "maxLength"] {
            assert!(!schema[keyword].is_null(), "{keyword}: {schema}");
            assert_eq!(schema[keyword], published[0][keyword], "{keyword}");
        }
    }
}

#[tokio::test]
async fn without_a_key_no_fault_is_named() {
    let (gateway, _folder) = with_keys().await;
    let request = submit(&gateway, "?wait_s=61&x=1").header("idempotency-key", "\"open");
    let problem = gateway.send(request.body("{")).await;
    let problem = problem.expect_problem(401, "unauthorized");
    assert_eq!(problem["errors"], Value::Null);
}
