//! The document describes exactly the routes of the gateway, and their parameters.

use reqwest::Method;
use serde_json::{Value, json};

use super::document;
use crate::fixture::Fixture;

const METHODS: [&str; 6] = ["get", "post", "put", "patch", "delete", "trace"];

/// A path of the route with an id of the right form.
fn example_path(path: &str) -> String {
    let job = format!("job_{}", "0".repeat(34));
    let path = path.replace("{file}", "start.js");
    let path = path.replace("{tenant}", "shop");
    let path = path.replace("/jobs/{id}", &format!("/jobs/{job}"));
    path.replace("{id}", "no-such-session")
}

/// The gateway answers 405 to the methods that the document does not describe, and never to those that it describes. So the test
/// finds a method that only the router or only the document has. The paths agree, because the router takes each path together with
/// its description.
#[tokio::test]
async fn the_document_describes_the_methods_of_each_path() {
    let gateway = Fixture::start().await;
    let document = document(&gateway).await;
    let paths = document["paths"]
        .as_object()
        .expect("the document has paths");
    for (path, operations) in paths {
        for method in METHODS {
            let name = method.to_uppercase();
            let method_name = Method::from_bytes(name.as_bytes()).expect("a method");
            let is_described = operations.get(method).is_some();
            let wrong_query = format!("{}?limit=x&order=x&no_such=1", example_path(path));
            let request = gateway.request(method_name.clone(), &wrong_query);
            let refusal = gateway.send(request).await;
            let request = gateway.request(method_name, &example_path(path));
            let response = gateway.send(request).await;
            assert_eq!(response.status != 405, is_described, "{name} {path}");
            if !is_described {
                assert_eq!(refusal.status, 405, "{name} {path}");
                continue;
            }
            if path.starts_with("/v1/") {
                refusal.expect_problem(400, "unknown_parameter");
            }
            let status = response.status.as_str().to_owned();
            let described = &operations[method]["responses"][&status];
            assert!(described.is_object(), "{name} {path} answered {status}");
        }
    }
}

/// `GET /` lists the routes for people.
#[tokio::test]
async fn the_document_has_every_route_that_the_welcome_lists() {
    let gateway = Fixture::start().await;
    let document = document(&gateway).await;
    let welcome = gateway.get("/").await.expect(200);
    let listed = welcome["routes"].as_object().expect("the routes");
    for route in listed.values().filter_map(Value::as_str) {
        let (method, target) = route.split_once(' ').expect("a method and a path");
        let path = target.split('?').next().unwrap_or_default();
        let operation = &document["paths"][path][method.to_lowercase()];
        assert!(operation.is_object(), "{route}");
    }
    let count = document["paths"].as_object().into_iter().flatten();
    let count: usize = count
        .filter_map(|(_, operations)| operations.as_object())
        .map(serde_json::Map::len)
        .sum();
    // `GET /` does not list itself and the files of the page.
    assert_eq!(listed.len() + 2, count);
}

/// A described query parameter is accepted at its bounds and refused outside, and any other is unknown.
#[tokio::test]
async fn the_query_parameters_have_the_bounds_of_the_document() {
    let gateway = Fixture::start().await;
    let document = document(&gateway).await;
    for (path, operations) in document["paths"].as_object().into_iter().flatten() {
        let operation = &operations["get"];
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let get = async |query: String| {
            let response = gateway
                .get(&format!("{}?{query}", example_path(path)))
                .await;
            response.status.as_u16()
        };
        for parameter in parameters.filter(|parameter| parameter["in"] == "query") {
            let (name, schema) = (&parameter["name"], &parameter["schema"]);
            let name = name.as_str().expect("a name");
            let (least, most) = (schema["minimum"].as_u64(), schema["maximum"].as_u64());
            if schema["type"] == "string" {
                for word in schema["enum"].as_array().into_iter().flatten() {
                    let word = word.as_str().expect("a word");
                    assert_eq!(get(format!("{name}={word}")).await, 200, "{path} {name}");
                }
                if schema["format"] == "date-time" {
                    let time = "2026-01-31T12:00:00Z";
                    assert_eq!(get(format!("{name}={time}")).await, 200, "{path} {name}");
                }
                if let Some(longest) = schema["maxLength"].as_u64() {
                    let longest = "x".repeat(usize::try_from(longest).expect("a length"));
                    assert_ne!(get(format!("{name}={longest}")).await, 422, "{path} {name}");
                    assert_eq!(
                        get(format!("{name}={longest}x")).await,
                        422,
                        "{path} {name}"
                    );
                }
                // `x` is a valid session and a valid tenant. All other texts are words or have a format.
                if !["session_id", "tenant"].contains(&name) {
                    assert_eq!(get(format!("{name}=x")).await, 422, "{path} {name}");
                }
                assert_eq!(get(format!("{name}=")).await, 422, "{path} {name}");
                continue;
            }
            let (least, most) = (least.expect("a minimum"), most.expect("a maximum"));
            // No job and no session has the id of the path. A list has no id.
            let accepted = match path.as_str() {
                // This gateway requires no API keys.
                "/v1/admin/keys" => 409,
                _ if path.contains("{id}") => 404,
                _ => 200,
            };
            for inside in [least, most] {
                assert_eq!(
                    get(format!("{name}={inside}")).await,
                    accepted,
                    "{path} {name}={inside}"
                );
            }
            for outside in [i128::from(least) - 1, i128::from(most) + 1] {
                assert_eq!(
                    get(format!("{name}={outside}")).await,
                    422,
                    "{path} {name}={outside}"
                );
            }
        }
        if path.starts_with("/v1/") && operation.is_object() {
            let path = format!("{}?no_such_parameter=1", example_path(path));
            let problem = gateway
                .get(&path)
                .await
                .expect_problem(400, "unknown_parameter");
            // The message lists the parameters that the gateway reads.
            let message = problem["errors"][0]["message"].as_str().expect("a message");
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let names = parameters.filter(|parameter| parameter["in"] == "query");
            let names: Vec<&str> = names
                .filter_map(|parameter| parameter["name"].as_str())
                .collect();
            let listed = if names.is_empty() {
                String::from("none")
            } else {
                names.join(", ")
            };
            assert!(
                message.ends_with(&format!("this route has {listed}")),
                "{path}: {message}"
            );
        }
    }
}

#[tokio::test]
async fn the_document_has_a_version() {
    let gateway = Fixture::start().await;
    let first = gateway.get("/openapi.json").await;
    let etag = first
        .header("etag")
        .expect("the response has an ETag")
        .to_owned();
    let body = first.expect(200);
    assert_eq!(body["openapi"], "3.1.0");
    let again = gateway
        .request(Method::GET, "/openapi.json")
        .header("if-none-match", &etag);
    gateway.send(again).await.expect(304);
    let other = gateway
        .request(Method::GET, "/openapi.json")
        .header("if-none-match", "\"x\"");
    gateway.send(other).await.expect(200);
}

/// The document states what this gateway enforces.
#[tokio::test]
async fn a_gateway_without_a_default_model_requires_a_model_or_a_session() {
    let required = async |default_model: Option<String>| {
        let gateway =
            Fixture::with_settings(|settings| settings.default_model = default_model).await;
        document(&gateway).await["components"]["schemas"]["Submit"]["allOf"].take()
    };
    let replaces = json!({"required": ["replace_from_turn", "session_id"]});
    let input = json!({"anyOf": [{"required": ["input"]}, replaces]});
    // A session may have a default model.
    let model = json!({"anyOf": [{"required": ["model"]}, {"required": ["session_id"]}]});
    assert_eq!(required(None).await, json!([input, model]));
    let default_model = Some(String::from("simulated"));
    assert_eq!(required(default_model).await, json!([input]));
}
