//! Every bound of every published body holds: the gateway accepts a body just inside it, and refuses one just outside with an error
//! that names the field. So a bound that is only published, or only enforced, fails. A library for JSON Schema agrees in each case.
//! The bodies are read from the document, so a new one cannot be forgotten.

use std::{fs, sync::Arc};

use forebay_gateway::ApiKeysFile;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    bound_cases::{BoundCase, BoundCases},
    document,
    samples::{session_with, submit_with},
};
use crate::fixture::{ApiResponse, Fixture};

/// A key with all scopes.
const KEY: &str = "all-0123456789-0123456789-0123456";
/// The session of the paths.
const SESSION: &str = "/v1/sessions/s";
/// What the gateway refuses inside the bounds of a schema: a field, and a part of the error's message.
const FURTHER_RULES: [(&str, &str); 2] = [
    // The new sessions have no turns to replace, whatever the number.
    ("replace_from_turn", "has no turn"),
    (
        "up_to_turn",
        "must be the number of a turn that the session has",
    ),
];

/// `submit_with` gives the tool the name in `tool_choice`, so an invalid name is refused in both fields.
const SAME_VALUE: (&str, &str) = ("tool_choice.function.name", "tools[0].function.name");

/// A route with a body.
struct BodyRoute {
    operation: String,
    method: Method,
    path: String,
    media_type: String,
    schema: Value,
    /// The library's check of the schema.
    validator: jsonschema::Validator,
}

/// The routes of the document that have a body.
fn body_routes(document: &Value) -> Vec<BodyRoute> {
    let mut routes = Vec::new();
    for (path, operations) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in operations.as_object().into_iter().flatten() {
            let content = operation["requestBody"]["content"].as_object();
            for (media_type, body) in content.into_iter().flatten() {
                let schema = &body["schema"];
                let schema = match schema["$ref"].as_str() {
                    Some(name) => document.pointer(name.trim_start_matches('#')),
                    None => Some(schema),
                };
                let schema = schema.expect("the document has the schema").clone();
                routes.push(BodyRoute {
                    operation: operation["operationId"].as_str().expect("an id").to_owned(),
                    method: Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method"),
                    path: path.clone(),
                    media_type: media_type.clone(),
                    validator: jsonschema::draft202012::new(&schema).expect("the schema is valid"),
                    schema,
                });
            }
        }
    }
    routes
}

/// A gateway with keys, and its bodies.
struct Bodies {
    gateway: Fixture,
    _folder: TempDir,
    /// How many bodies were sent.
    sent: usize,
}

impl Bodies {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("keys");
        let keys = format!("default:{KEY}:submit,read,admin\nshop:shop-{KEY}\n");
        fs::write(&path, keys).expect("the file is written");
        let keys = ApiKeysFile::open(&path).expect("the keys are valid");
        let gateway = Fixture::with_settings(|settings| settings.api_keys = Some(Arc::new(keys)));
        Self {
            gateway: gateway.await,
            _folder: folder,
            sent: 0,
        }
    }

    /// Sends a body to its route. Deletes the session that a fork has made, because a later fork may ask for the same id.
    async fn send(&mut self, route: &BodyRoute, body: &Value) -> ApiResponse {
        let path = route.path.replace("/v1/sessions/{id}", SESSION);
        let path = path.replace("{tenant}", "shop");
        let response = self
            .request(route.method.clone(), &path, &route.media_type, body)
            .await;
        if route.operation == "forkSession" && response.status.is_success() {
            let copy = response.body["id"].as_str().expect("an id");
            let path = format!("/v1/sessions/{copy}");
            let request = self.gateway.request(Method::DELETE, &path).bearer_auth(KEY);
            assert_eq!(self.gateway.send(request).await.status, 204);
        }
        response
    }

    async fn request(
        &mut self,
        method: Method,
        path: &str,
        media_type: &str,
        body: &Value,
    ) -> ApiResponse {
        self.sent += 1;
        let request = self.gateway.request(method, path).bearer_auth(KEY);
        let request = request.header("content-type", media_type);
        self.gateway.send(request.body(body.to_string())).await
    }

    /// The body, completed with the fields that rules outside of the schema require.
    fn completed(&self, route: &BodyRoute, body: Value) -> Value {
        match route.operation.as_str() {
            "submitJob" => submit_with(body, self.sent),
            "putSession" | "patchSession" => session_with(body),
            "forkSession" | "createApiKey" | "putTenantLimits" => body,
            other => panic!("the test does not know the body of {other}"),
        }
    }

    /// Sends the body of a case. Returns what is wrong with the response.
    async fn fault_of(
        &mut self,
        route: &BodyRoute,
        case: &BoundCase,
        is_inside: bool,
    ) -> Option<String> {
        let body = self.completed(route, case.body.clone());
        let response = self.send(route, &body).await;
        let errors = response.body["errors"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let is_further_rule = |error: &Value| {
            let message = error["message"].as_str().unwrap_or_default();
            let mut rules = FURTHER_RULES.iter();
            rules.any(|(field, rule)| error["field"] == *field && message.contains(rule))
        };
        let is_about_field = |error: &Value| {
            let named = error["field"].as_str().unwrap_or_default();
            case.field.is_named_by(named) || (case.field.name.as_str(), named) == SAME_VALUE
        };
        let is_expected = if is_inside {
            response.status.is_success()
                || (!errors.is_empty() && errors.iter().all(is_further_rule))
        } else {
            response.status == 422 && !errors.is_empty() && errors.iter().all(is_about_field)
        };
        let is_valid = route.validator.is_valid(&body);
        let library_agrees = is_valid == is_inside || case.is_unknown_to_json_schema();
        if is_expected && library_agrees {
            return None;
        }
        let body: String = body.to_string().chars().take(300).collect();
        Some(format!(
            "{} {}, inside: {is_inside}, by the library: {is_valid}: {} {}: {body}",
            route.operation,
            case.bound(),
            response.status,
            response.body["errors"]
        ))
    }
}

#[tokio::test]
async fn every_bound_of_every_published_body_is_enforced() {
    let gateway = Bodies::start().await.gateway;
    let routes = body_routes(&document(&gateway).await);
    assert!(routes.len() >= 6, "{}", routes.len());
    let mut faults = Vec::new();
    for route in &routes {
        let cases = BoundCases::of(&route.schema);
        let (inside, outside) = (cases.inside.len(), cases.outside.len());
        println!(
            "{}: {inside} bodies inside of bounds, {outside} outside",
            route.operation
        );
        let (inside_min, outside_min) = match route.operation.as_str() {
            "submitJob" => (200, 300),
            "putSession" | "patchSession" => (15, 30),
            _ => (4, 10),
        };
        assert!(
            inside >= inside_min && outside >= outside_min,
            "{}",
            route.operation
        );
        // Each route gets a gateway of its own, without what other routes have stored.
        let mut bodies = Bodies::start().await;
        let session = json!({"turns": [{"role": "user", "content": "x"}]});
        let put = bodies.request(Method::PUT, SESSION, "application/json", &session);
        put.await.expect(201);
        for (cases, is_inside) in [(cases.inside, true), (cases.outside, false)] {
            for case in cases {
                faults.extend(bodies.fault_of(route, &case, is_inside).await);
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
