//! What the body that makes an API key may hold: its fields as a Rust type, with the bounds of each. As with a submit, the schema of
//! this type validates each body and is published in the OpenAPI document.

use schemars::JsonSchema;
use serde::Deserialize;

use super::submit_body::whole_number;
use crate::{auth::Scope, tenant_name};

const NAME_CHARS_MAX: usize = 100;
const NAME_ALLOWED: &str = "a string of 1 to 100 characters without control characters";
/// Ten years, in seconds.
const EXPIRES_IN_S_MAX: u32 = 315_360_000;

/// An API key to make.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewApiKey")]
pub(crate) struct NewKeyBody {
    /// The tenant that the key belongs to.
    #[schemars(
        length(min = 1, max = tenant_name::CHARS_MAX),
        regex(pattern = tenant_name::PATTERN),
        extend("x-allowed" = tenant_name::ALLOWED)
    )]
    pub(crate) tenant: String,
    /// What the key may do. No scope includes another one. Default: `submit` and `read`.
    #[schemars(length(min = 1, max = 3), extend("x-elements" = "scopes"))]
    pub(crate) scopes: Option<Vec<Scope>>,
    /// What the key is for, for people.
    #[schemars(
        length(min = 1, max = NAME_CHARS_MAX),
        regex(pattern = r"^[^\x00-\x1f\x7f-\x9f]+$"),
        extend("x-allowed" = NAME_ALLOWED)
    )]
    pub(crate) name: Option<String>,
    /// After how many seconds the key expires. Without it, the key does not expire.
    #[serde(default, deserialize_with = "whole_number")]
    #[schemars(range(min = 1, max = EXPIRES_IN_S_MAX), extend("x-unit" = "seconds"))]
    pub(crate) expires_in_s: Option<u32>,
}
