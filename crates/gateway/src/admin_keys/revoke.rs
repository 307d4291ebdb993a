//! `DELETE /v1/admin/keys/{key_id}`: revokes an API key. While the store responds, this gateway refuses the key at once, and other
//! gateways within 5 s.

use std::sync::Arc;

use axum::{
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
};

use super::required_keys;
use crate::{path_ids::api_key_id, problem::Problem, state::ApiState, store_call};

/// Revokes a key.
pub(crate) async fn delete(
    State(state): State<Arc<ApiState>>,
    path: Result<Path<String>, PathRejection>,
) -> Result<StatusCode, Problem> {
    let keys = required_keys(&state)?;
    let id = api_key_id(path)?;
    let removal = state.member.store.remove_api_key(&id);
    if !store_call::with_timeout(removal).await? {
        return Err(Problem::api_key_not_found());
    }
    tracing::info!(revoked_key_id = %id, "API key revoked");
    if let Err(error) = keys.stored.read().await {
        tracing::debug!(%error, "the revoked API key is refused once the keys can be read");
    }
    Ok(StatusCode::NO_CONTENT)
}
