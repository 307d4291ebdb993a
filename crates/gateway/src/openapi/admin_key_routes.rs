//! The descriptions of the routes of API keys.

use axum::http::StatusCode;
use forebay_shared::api_key::API_KEY_ID_PATTERN;
use schemars::SchemaGenerator;
use serde_json::json;

use super::operation::Operation;
use crate::{
    admin_keys::{ApiKeyList, CreatedApiKey},
    problem_code::ProblemCode as P,
};

const HEADERS: [&str; 1] = ["X-Request-Id"];

pub(crate) fn create_key(generator: &mut SchemaGenerator) -> Operation {
    let description = "Makes an API key for a tenant and shows it once: the store has only its hash. This gateway accepts the key \
                       at once, other gateways within 5 s.";
    Operation::new("createApiKey", "keys", "Make an API key", description)
        .body(
            "The key to make, as JSON in UTF-8 without compression.",
            &json!({"$ref": "#/components/schemas/NewApiKey"}),
        )
        .json::<CreatedApiKey<'_>>(generator, StatusCode::CREATED, "The key is made.", &HEADERS)
        .problems(&[
            P::InvalidJson,
            P::UnknownParameter,
            P::ApiKeysNotRequired,
            P::TooManyApiKeys,
            P::UnsupportedMediaType,
            P::InvalidRequest,
            P::StoreFull,
            P::StoreUnavailable,
        ])
}

pub(crate) fn list_keys(generator: &mut SchemaGenerator) -> Operation {
    let description = "Lists the API keys of all tenants, the newest first, without the keys themselves. Those of \
                       FOREBAY_API_KEYS_FILE are not listed.";
    Operation::new("listApiKeys", "keys", "List the API keys", description)
        .json::<ApiKeyList<'_>>(generator, StatusCode::OK, "A page of keys.", &HEADERS)
        .problems(&[
            P::UnknownParameter,
            P::ApiKeysNotRequired,
            P::InvalidRequest,
            P::StoreUnavailable,
        ])
}

pub(crate) fn revoke_key(_: &mut SchemaGenerator) -> Operation {
    let description = "Deletes an API key of the store. This gateway refuses the key at once, other gateways within 5 s.";
    Operation::new("revokeApiKey", "keys", "Revoke an API key", description)
        .parameter(
            "key_id",
            "path",
            "The key's id.",
            &json!({"type": "string", "pattern": API_KEY_ID_PATTERN}),
        )
        .response(
            StatusCode::NO_CONTENT,
            "The key is revoked.",
            &HEADERS,
            None,
        )
        .problems(&[
            P::UnknownParameter,
            P::ApiKeyNotFound,
            P::ApiKeysNotRequired,
            P::StoreUnavailable,
        ])
}
