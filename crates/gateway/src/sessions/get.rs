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
    session_settings::SessionSettings,
    store::StoreError,
    turn::Turn,
};
use schemars::JsonSchema;

use super::{
    large_session::{self, Memory, ReadTurns, read_info},
    page::{Page, parse},
    settings::{self, ReadSettings},
    view::{FieldsAfter, FieldsBefore, json},
};
use crate::{
    auth::Caller, path_ids::session_id, problem::Problem, problem_code::ProblemCode,
    query_parameters::Query, reserved_body::reserved_body, state::ApiState, store_call,
};

/// How often a session is read at most. A read is repeated if the session has changed meanwhile.
const READS_MAX: u32 = 5;

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
    after: FieldsAfter<'a>,
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
    let page = parse(Query(query.as_deref()));
    for _ in 0..READS_MAX {
        let mut info = read_info(&state, caller.tenant(), &id)
            .await?
            .ok_or_else(Problem::session_not_found)?;
        let read = match info.turns.take() {
            Some(turns) => Some(of_small_session(turns, page)),
            None => {
                let memory = Memory {
                    copies: 1,
                    further_bytes: settings::large_bytes(&info),
                };
                large_session::read(&state, caller.tenant(), &id, &info, page, memory).await?
            }
        };
        let Some(read) = read else { continue };
        let tenant = caller.tenant();
        let is_reserved = read.reserved.is_some();
        if let Some(settings) = settings::read(&state, tenant, &id, &mut info, is_reserved).await? {
            return respond(&state, &id, &info, settings, read);
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
    settings: ReadSettings,
    read: ReadTurns,
) -> Result<Response, Problem> {
    let parsed = settings.parse()?;
    let write = || to_json(state, id, info, &parsed, read.turns, read.next_after);
    let chunks = match &read.reserved {
        Some(_) => off_async_threads(write)?,
        None => write()?,
    };
    let mut response = Response::new(reserved_body(chunks, read.reserved.or(settings.reserved)));
    let json_type = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json_type);
    Ok(response)
}

/// The JSON of a session. The turns are sent as they are stored.
fn to_json(
    state: &ApiState,
    id: &SessionId,
    info: &SessionInfo,
    settings: &SessionSettings,
    turns: Vec<StoredTurn>,
    next_after: Option<Option<u64>>,
) -> Result<Vec<Vec<u8>>, Problem> {
    let mut before = json(&FieldsBefore::of(id))?;
    let mut after = FieldsAfter::of(state, info, settings);
    after.next_after = next_after;
    let after = json(&after)?;
    before.pop();
    before.extend_from_slice(b",\"turns\":[");
    let mut chunks = vec![before];
    for (index, turn) in turns.into_iter().enumerate() {
        document::check_version::<Turn>(&turn.json)
            .map_err(|error| store_call::store_problem(&StoreError::from(error)))?;
        let separator = if index > 0 { "," } else { "" };
        // The turn is a JSON object with at least its role, so its fields can follow the number.
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
