//! `GET /v1/admin/keys`: lists the API keys of the store, the newest first, in pages.

use std::{cmp::Reverse, sync::Arc};

use axum::{
    extract::{RawQuery, State},
    response::{IntoResponse, Response},
};

use super::{
    list_query::{self, KeyPosition},
    required_keys,
    view::{ApiKeyList, ApiKeyView},
};
use crate::{
    json_response::Json, problem::Problem, query_parameters::Query, state::ApiState, store_call,
};

/// The memory that all keys of a store take while a page is read: their documents, and the parsed keys.
const BYTES_OF_ALL_KEYS: u64 = 16 * 1024 * 1024;

/// Lists keys.
pub(crate) async fn get(
    State(state): State<Arc<ApiState>>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let request = list_query::parse(Query(query.as_deref()));
    required_keys(&state)?;
    // A page reads all keys, so few pages are read at the same time.
    let _permit = state.list_permit().await?;
    let _reserved = state.reserve_read(BYTES_OF_ALL_KEYS).await?;
    let stored = store_call::with_timeout(state.member.store.api_keys(None)).await?;
    let mut keys = stored.unwrap_or_default().keys;
    keys.retain(|stored| {
        let is_of_tenant = request
            .tenant
            .as_ref()
            .is_none_or(|tenant| *tenant == stored.key.tenant);
        let position = KeyPosition::of(&stored.key);
        is_of_tenant
            && request
                .cursor
                .as_ref()
                .is_none_or(|cursor| position < *cursor)
    });
    keys.sort_by_cached_key(|stored| Reverse(KeyPosition::of(&stored.key)));
    let is_last_page = keys.len() <= request.limit;
    keys.truncate(request.limit);
    let last = keys.last().filter(|_| !is_last_page);
    let data = keys
        .iter()
        .map(|stored| ApiKeyView::of(&state, &stored.key, stored.last_used_at));
    let list = ApiKeyList {
        object: "list",
        data: data.collect(),
        next_cursor: last.map(|stored| KeyPosition::of(&stored.key).to_cursor()),
    };
    Ok(Json(list).into_response())
}
