//! `GET /v1/sessions/{id}`: shows a session with its turns, or with a page of them. This restarts the session's TTL.

use std::sync::Arc;

use axum::{
    extract::{Path, RawQuery, State, rejection::PathRejection},
    http::{HeaderValue, header::CONTENT_TYPE},
    response::Response,
};
use forebay_runtime::off_async_threads::off_async_threads;
use forebay_shared::{
    document,
    ids::SessionId,
    session::{SessionInfo, StoredTurn},
    store::StoreError,
    turn::Turn,
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    large_session::{self, ReadTurns, read_info},
    page::{Page, parse},
};
use crate::{
    auth::Caller, path_ids::session_id, problem::Problem, problem_code::ProblemCode,
    reserved_body::reserved_body, state::ApiState, store_call,
};

/// How often a session that changes during the read is read.
const READS_MAX: u32 = 5;

/// The fields of a session before its turns.
#[derive(Serialize, JsonSchema)]
struct FieldsBefore<'a> {
    id: &'a SessionId,
    #[schemars(extend("const" = "session"))]
    object: &'static str,
}

/// The fields of a session after its turns.
#[derive(Serialize, JsonSchema)]
struct FieldsAfter {
    /// How many turns the session has.
    turn_count: u64,
    /// In a page only: the number of its last turn, after which the next page begins; null on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_after: Option<Option<u64>>,
    #[schemars(extend("format" = "date-time"))]
    created_at: String,
    #[schemars(extend("format" = "date-time"))]
    updated_at: String,
    /// Null while the session has live jobs, because such a session does not expire.
    #[schemars(extend("format" = "date-time"))]
    expires_at: Option<String>,
    live_jobs: usize,
}

/// A session.
// Only its schema is used: a response is written in pieces, because its turns are sent as they are stored.
#[derive(JsonSchema)]
#[schemars(rename = "Session")]
#[expect(dead_code, reason = "only the schema is used")]
pub(crate) struct SessionView<'a> {
    #[serde(flatten)]
    before: FieldsBefore<'a>,
    /// The turns, oldest first.
    turns: Vec<NumberedTurn>,
    #[serde(flatten)]
    after: FieldsAfter,
}

/// A turn and its number.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only the schema is used")]
struct NumberedTurn {
    /// The number of the turn in its session, counted from 0. It never changes, and no other turn of the session ever has it.
    number: u64,
    #[serde(flatten)]
    turn: Turn,
}

/// Shows a session.
pub(crate) async fn get(
    State(state): State<Arc<ApiState>>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let id = session_id(path)?;
    let page = parse(query.as_deref())?;
    for _ in 0..READS_MAX {
        let mut info = read_info(&state, caller.tenant(), &id)
            .await?
            .ok_or_else(Problem::session_not_found)?;
        let read = match info.turns.take() {
            Some(turns) => Some(of_small_session(turns, page)),
            None => large_session::read(&state, caller.tenant(), &id, &info, page).await?,
        };
        if let Some(read) = read {
            return respond(&state, &id, &info, read);
        }
    }
    let detail = "the session changed while it was read";
    Err(Problem::new(ProblemCode::Overloaded, detail).retry_after(1))
}

/// The turns of a small session, or a page of them.
fn of_small_session(turns: Vec<StoredTurn>, page: Option<Page>) -> ReadTurns {
    let Some(page) = page else {
        return ReadTurns {
            turns,
            next_after: None,
            reserved: None,
        };
    };
    let from = page.from();
    let after = turns.into_iter().filter(|turn| turn.number >= from);
    let mut turns: Vec<StoredTurn> = after.take(page.limit + 1).collect();
    let has_more = turns.len() > page.limit;
    turns.truncate(page.limit);
    let next_after = turns.last().filter(|_| has_more).map(|turn| turn.number);
    ReadTurns {
        turns,
        next_after: Some(next_after),
        reserved: None,
    }
}

fn respond(
    state: &ApiState,
    id: &SessionId,
    info: &SessionInfo,
    read: ReadTurns,
) -> Result<Response, Problem> {
    let write = || to_json(state, id, info, read.turns, read.next_after);
    let chunks = match &read.reserved {
        Some(_) => off_async_threads(write)?,
        None => write()?,
    };
    let mut response = Response::new(reserved_body(chunks, read.reserved));
    let json_type = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json_type);
    Ok(response)
}

/// The JSON of a session. The turns are sent as they are stored.
fn to_json(
    state: &ApiState,
    id: &SessionId,
    info: &SessionInfo,
    turns: Vec<StoredTurn>,
    next_after: Option<Option<u64>>,
) -> Result<Vec<Vec<u8>>, Problem> {
    let mut before = json(&FieldsBefore {
        id,
        object: "session",
    })?;
    let after = json(&FieldsAfter {
        turn_count: info.turn_count,
        next_after,
        created_at: state.show(info.created_at),
        updated_at: state.show(info.updated_at),
        expires_at: info.expires_at.map(|time| state.show(time)),
        live_jobs: info.live_jobs,
    })?;
    before.pop();
    before.extend_from_slice(b",\"turns\":[");
    let mut chunks = vec![before];
    for (index, turn) in turns.into_iter().enumerate() {
        document::check_version::<Turn>(&turn.json)
            .map_err(|error| store_call::store_problem(&StoreError::from(error)))?;
        let separator = if index > 0 { "," } else { "" };
        // The turn is a JSON object with at least its role.
        chunks.push(format!("{separator}{{\"number\":{},", turn.number).into_bytes());
        let mut fields = turn.json;
        fields.remove(0);
        chunks.push(fields);
    }
    let mut end = b"],".to_vec();
    end.extend_from_slice(&after[1..]);
    chunks.push(end);
    Ok(chunks)
}

fn json(fields: &impl Serialize) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(fields).map_err(|error| {
        tracing::error!(%error, "a session could not be written as JSON");
        let detail = "the session could not be written as JSON";
        Problem::new(ProblemCode::Internal, detail)
    })
}
