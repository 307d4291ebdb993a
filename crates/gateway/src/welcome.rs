//! `GET /`: the name of the program, and its routes.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::json_response::Json;

/// The name of the program, and its routes.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Welcome {
    name: &'static str,
    version: &'static str,
    description: &'static str,
    /// What can be done, and the method and path of its route.
    routes: Map<String, Value>,
    /// A command that submits a job.
    example: &'static str,
    documentation: &'static str,
}

/// Shows the name of the program and its routes.
pub(crate) async fn get() -> Json<Welcome> {
    Json(Welcome {
        name: "Forebay",
        version: env!("CARGO_PKG_VERSION"),
        description: "A durable queue between applications and LLM APIs. Submit a job, then poll it or wait for its reply.",
        routes: routes(),
        example: "curl --json '{\"input\": \"Hello\"}' http://localhost:8080/v1/jobs",
        documentation: "README.md of Forebay",
    })
}

/// What can be done, in this order.
fn routes() -> Map<String, Value> {
    let routes = [
        ("submit a job", "POST /v1/jobs"),
        (
            "show a job, or wait for its reply",
            "GET /v1/jobs/{id}?wait_s=30",
        ),
        ("list jobs", "GET /v1/jobs?status=failed"),
        ("cancel a job", "POST /v1/jobs/{id}/cancel"),
        ("run a job again", "POST /v1/jobs/{id}/retry"),
        ("delete a job", "DELETE /v1/jobs/{id}"),
        ("list sessions", "GET /v1/sessions"),
        ("show a session", "GET /v1/sessions/{id}"),
        ("create a session, or replace it", "PUT /v1/sessions/{id}"),
        (
            "change the settings of a session",
            "PATCH /v1/sessions/{id}",
        ),
        ("copy a session", "POST /v1/sessions/{id}/fork"),
        ("delete a session", "DELETE /v1/sessions/{id}"),
        ("show the queues", "GET /v1/queues"),
        ("show the providers", "GET /v1/providers"),
        ("list the API keys", "GET /v1/admin/keys"),
        ("make an API key", "POST /v1/admin/keys"),
        ("revoke an API key", "DELETE /v1/admin/keys/{key_id}"),
        (
            "show the limits of a tenant",
            "GET /v1/admin/tenants/{tenant}/limits",
        ),
        (
            "set the limits of a tenant",
            "PUT /v1/admin/tenants/{tenant}/limits",
        ),
        (
            "remove the limits of a tenant",
            "DELETE /v1/admin/tenants/{tenant}/limits",
        ),
        ("check the process", "GET /healthz"),
        ("check whether it serves requests", "GET /readyz"),
        ("check whether it accepts jobs", "GET /readyz/submits"),
        ("describe the API as OpenAPI 3.1", "GET /openapi.json"),
        ("show the API in a browser", "GET /docs"),
    ];
    let routes = routes.into_iter();
    routes
        .map(|(name, route)| (name.to_owned(), Value::from(route)))
        .collect()
}
