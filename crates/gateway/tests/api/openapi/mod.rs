//! Tests of the OpenAPI document: it is true, complete and valid.

mod body_bounds;
mod bound_cases;
mod idempotency_key;
mod page;
mod routes;
mod samples;

use serde_json::Value;

use crate::fixture::Fixture;

/// The gateway's document.
async fn document(gateway: &Fixture) -> Value {
    gateway.get("/openapi.json").await.expect(200)
}
