//! API keys as the API shows them.

use forebay_shared::{
    api_key::{ApiKey, ApiKeyId},
    ids::TenantId,
    time::TimeMs,
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::state::ApiState;

/// An API key, without the key itself.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ApiKey")]
pub(crate) struct ApiKeyView<'a> {
    #[schemars(extend("const" = "api_key"))]
    object: &'static str,
    /// The key's id, which is not secret. Log lines name it.
    id: &'a ApiKeyId,
    /// The tenant that the key belongs to.
    tenant: &'a TenantId,
    /// What the key may do.
    scopes: &'a [String],
    /// What the key is for.
    name: Option<&'a str>,
    created_at: String,
    /// When the key expires; null for never. A week later the key is deleted.
    expires_at: Option<String>,
    /// When the key was last used, up to a minute late; null for never.
    last_used_at: Option<String>,
}

/// An API key that was just made.
#[derive(Serialize, JsonSchema)]
pub(crate) struct CreatedApiKey<'a> {
    #[serde(flatten)]
    pub(super) view: ApiKeyView<'a>,
    /// The key itself. It is not shown again.
    pub(super) key: &'a str,
}

/// A page of API keys.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ApiKeyList<'a> {
    #[schemars(extend("const" = "list"))]
    pub(super) object: &'static str,
    pub(super) data: Vec<ApiKeyView<'a>>,
    /// The `cursor` of the next page; null after the last key.
    pub(super) next_cursor: Option<String>,
}

impl<'a> ApiKeyView<'a> {
    pub(super) fn of(state: &ApiState, key: &'a ApiKey, last_used_at: Option<TimeMs>) -> Self {
        Self {
            object: "api_key",
            id: &key.id,
            tenant: &key.tenant,
            scopes: &key.scopes,
            name: key.name.as_deref(),
            created_at: state.show(key.created_at),
            expires_at: key.expires_at.map(|time| state.show(time)),
            last_used_at: last_used_at.map(|time| state.show(time)),
        }
    }
}
