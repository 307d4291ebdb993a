//! Puts the descriptions of the routes together.

use axum::http::Method;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::{answers, operation::Operation};
use crate::{
    auth::Access, problem::ProblemDetails, query_parameters::parameters_of,
    settings::GatewaySettings, tenant_limits::is_limited, validation::schema,
};

/// Describes a route. Called when the document is made.
pub(crate) type Describe = fn(&mut schemars::SchemaGenerator) -> Operation;

/// The document for these routes. A route is its method in lower case, its path and its description.
pub(crate) fn document<'a>(
    settings: &GatewaySettings,
    routes: impl IntoIterator<Item = (&'a str, &'a str, Describe)>,
) -> Value {
    let mut generator = SchemaSettings::draft2020_12()
        .for_serialize()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .into_generator();
    let has_keys = settings.api_keys.is_some();
    let mut paths: Map<String, Value> = Map::new();
    for (method, path, describe) in routes {
        let mut operation = describe(&mut generator);
        if let Some(parameters) = parameters_of(&http_method(method), path) {
            operation = operation.query(parameters);
        }
        if has_keys && let Access::OneOf(scopes) = access(method, path) {
            operation = operation.requires(scopes);
        }
        if has_keys && is_limited(&http_method(method), path) {
            operation = operation.limited();
        }
        let operation = operation.into_value();
        let of_path = paths.entry(path).or_insert_with(|| json!({}));
        of_path[method] = operation;
    }
    generator.subschema_for::<ProblemDetails<'_>>();
    let mut schemas = generator.take_definitions(true);
    schemas.insert(String::from("Submit"), submit(settings));
    for (name, schema) in [
        ("NewApiKey", &schema::NEW_KEY),
        ("SessionPut", &schema::SESSION),
        ("SessionPatch", &schema::SESSION_PATCH),
        ("SessionFork", &schema::SESSION_FORK),
    ] {
        schemas.insert(name.to_owned(), schema.published().clone());
    }
    let mut document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Forebay",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "A durable queue between applications and LLM APIs.",
            "description": format!(
                "Submit a job, then poll it or wait for its reply. Errors are problem details (RFC 9457); `code` is \
                 stable, and `errors` names what is not valid in the query, the headers and the body, and what is accepted \
                 instead. If several parts of a request are not valid, the response has the lowest of their statuses. A body may have \
                 at most {} bytes.",
                settings.body_bytes_max
            ),
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [
            {"name": "jobs", "description": "Submit, show, cancel, retry and delete jobs."},
            {"name": "sessions", "description": "Conversations that jobs continue."},
            {"name": "keys", "description": "Make, list and revoke API keys. Needs an admin key."},
            {"name": "limits", "description": "Show and set the limits of tenants. Needs an admin key."},
            {"name": "status", "description": "The state of the queues, the providers and this process."},
        ],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "headers": answers::header_components(),
            "parameters": {
                "X-Request-Id": {
                    "name": "X-Request-Id",
                    "in": "header",
                    "required": false,
                    "description": "An id for the request: 1 to 128 visible ASCII characters. The response and the \
                                    gateway's log lines have this id. Any other value is replaced.",
                    "schema": {"type": "string"},
                },
            },
        },
    });
    if has_keys {
        document["components"]["securitySchemes"] = json!({
            answers::SECURITY_SCHEME: {
                "type": "http",
                "scheme": "bearer",
                "description": "An API key (RFC 6750). Each key belongs to a tenant, and sees only the jobs and sessions of this tenant.",
            },
        });
    }
    document
}

/// Who may use a route.
fn access(method: &str, path: &str) -> Access {
    Access::of(&http_method(method), Some(path))
}

/// The method with this lower-case name.
pub(crate) fn http_method(lower_case: &str) -> Method {
    let method = Method::from_bytes(lower_case.to_uppercase().as_bytes());
    method.unwrap_or_default()
}

/// The schema of a submit, as this gateway validates it.
fn submit(settings: &GatewaySettings) -> Value {
    let mut schema = schema::SUBMIT.published().clone();
    let required = |names: &[&str]| json!({"required": names});
    let mut all = vec![json!({
        "anyOf": [required(&["input"]), required(&["replace_from_turn", "session_id"])],
    })];
    // The session may have a default model.
    if settings.default_model.is_none() {
        all.push(json!({"anyOf": [required(&["model"]), required(&["session_id"])]}));
    }
    schema["allOf"] = Value::Array(all);
    schema
}
