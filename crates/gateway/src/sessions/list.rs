//! `GET /v1/sessions`: lists the tenant's sessions in the order of their creation, in pages. A list does not
//! restart the TTL of its sessions.

use std::sync::Arc;

use axum::{
    extract::{RawQuery, State},
    http::{HeaderValue, header::CONTENT_TYPE},
    response::{IntoResponse as _, Response},
};
use forebay_shared::{
    ids::SessionId,
    store::{ListedSession, SessionListQuery},
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    list_query::{self, ListRequest},
    settings,
    view::json,
};
use crate::{
    auth::Caller, problem::Problem, query_parameters::Query, reserved_body::reserved_body,
    state::ApiState, store_call, validation::ATTRIBUTES_BYTES_MAX,
};

/// The memory of a listed session: its attributes as text and in the response.
const BYTES_FOR_EACH_SESSION: u64 = 8 * ATTRIBUTES_BYTES_MAX as u64;
/// How many parts of the list one page reads at most. All sessions of a part may have expired.
const READS_MAX: u32 = 8;

/// A page of sessions.
// Only its schema is used: a response is written in pieces.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only the schema is used")]
pub(crate) struct SessionList<'a> {
    #[schemars(extend("const" = "list"))]
    object: &'static str,
    data: Vec<ListedView<'a>>,
    /// The `cursor` of the next page; null after the last session.
    next_cursor: Option<String>,
}

/// A session in a list.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ListedSession")]
struct ListedView<'a> {
    id: &'a SessionId,
    #[schemars(extend("const" = "session"))]
    object: &'static str,
    turn_count: u64,
    /// The object that a client has set.
    attributes: &'a Map<String, Value>,
    /// The model of the session's defaults.
    default_model: Option<&'a str>,
    #[schemars(extend("format" = "date-time"))]
    created_at: String,
    #[schemars(extend("format" = "date-time"))]
    updated_at: String,
    /// Null while the session has live jobs.
    #[schemars(extend("format" = "date-time"))]
    expires_at: Option<String>,
    live_jobs: usize,
}

/// Lists sessions.
pub(crate) async fn get(
    State(state): State<Arc<ApiState>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let ListRequest {
        limit,
        is_oldest_first,
        after,
    } = list_query::parse(Query(query.as_deref()));
    // Each part of a list reads all partitions of the store, so few lists are read at the same time.
    let _permit = state.list_permit().await?;
    let sessions = u64::try_from(limit).unwrap_or(u64::MAX);
    let reserved = state
        .reserve_read(sessions.saturating_mul(BYTES_FOR_EACH_SESSION))
        .await?;
    let mut query = SessionListQuery {
        tenant: caller.tenant().clone(),
        is_oldest_first,
        after,
        limit,
    };
    let mut data: Vec<Vec<u8>> = Vec::new();
    let mut next = None;
    for _ in 0..READS_MAX {
        query.limit = limit - data.len();
        let listing = state.member.store.list_sessions(&query);
        let listed = store_call::with_timeout(listing).await?;
        next = listed.last().map(|last| last.position.clone());
        query.after.clone_from(&next);
        for session in listed {
            data.extend(shown(&state, session)?);
        }
        if next.is_none() || data.len() >= limit {
            break;
        }
    }
    let mut json = b"{\"object\":\"list\",\"data\":[".to_vec();
    json.extend(data.join(&b','));
    json.extend_from_slice(b"],\"next_cursor\":");
    json.extend(self::json(&next.as_ref().map(list_query::write_cursor))?);
    json.push(b'}');
    let json_type = (CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let body = reserved_body(vec![json], Some(reserved));
    Ok(([json_type], body).into_response())
}

/// A session of the list as JSON. Its parsed attributes may take much more memory than their text, so they are written at once. `None`
/// if there is no session at the position, or if this release cannot read it: one such session must not hide all others.
fn shown(state: &ApiState, listed: ListedSession) -> Result<Option<Vec<u8>>, Problem> {
    let ListedSession { position, info } = listed;
    let Some(mut info) = info else {
        return Ok(None);
    };
    let Some(Ok(settings)) = info.settings.take().map(|stored| settings::parse(&stored)) else {
        return Ok(None);
    };
    json(&ListedView {
        id: &position.session,
        object: "session",
        turn_count: info.turn_count,
        attributes: &settings.attributes.values,
        default_model: settings.model.as_deref(),
        created_at: state.show(info.created_at),
        updated_at: state.show(info.updated_at),
        expires_at: info.expires_at.map(|time| state.show(time)),
        live_jobs: info.live_jobs,
    })
    .map(Some)
}
