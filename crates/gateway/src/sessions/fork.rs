//! `POST /v1/sessions/{id}/fork`: makes a new session from the turns and the settings of another one, which may have live jobs.

use std::sync::Arc;

use axum::{
    extract::{Path, Request, State, rejection::PathRejection},
    response::Response,
};
use forebay_runtime::byte_budget::ReservedBytes;
use forebay_shared::{
    ids::{SessionId, TenantId},
    session::StoredTurn,
    store::{SessionPut, SessionWriteId},
};

use super::{
    large_session::{self, Memory, ReadTurns, read_info},
    put::{respond, write_session},
    settings::{self, ReadSettings},
};
use crate::{
    auth::Caller,
    content_headers,
    path_ids::session_id,
    problem::Problem,
    problem_code::ProblemCode,
    request_faults::RequestFaults,
    state::ApiState,
    validation::{self, Fork},
};

/// How often a session is read at most. A read is repeated if the session has changed meanwhile.
const READS_MAX: u32 = 5;
/// How many copies of the turns a fork has in memory: as they were read, as arguments of the store call, and in the store's command.
const COPIES: u64 = 3;
/// A write of more bytes gets the long timeout.
const LONG_WRITE_BYTES: u64 = 256 * 1_024;

/// Makes a new session.
pub(crate) async fn post(
    State(state): State<Arc<ApiState>>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    // The body is read before the checks, because a client that is refused while it sends may not see the response.
    let mut body = state.bodies.read(&parts.headers, body).await?;
    state.check_valid(&caller)?;
    let source = session_id(path);
    let faults = RequestFaults::of_query(&parts.extensions);
    // All fields may be left out, and so may the body.
    let Fork { id, up_to_turn } = if body.bytes.is_empty() {
        faults.into_result()?;
        Fork::default()
    } else {
        let described_as_expected = content_headers::check(&parts.headers);
        let validated = state
            .bodies
            .validate(&mut body, described_as_expected, faults, |bytes| {
                validation::fork(bytes)
            });
        validated.await?.0
    };
    drop(body);
    let source = source?;
    let id = match id {
        Some(id) => id,
        None => fresh_id()?,
    };
    let read = read(&state, caller.tenant(), &source).await?;
    let mut turns = read.turns;
    if let Some(last) = up_to_turn {
        if turns.iter().all(|turn| turn.number != last) {
            let message = "must be the number of a turn that the session has";
            return Err(Problem::invalid_field("up_to_turn", message));
        }
        turns.retain(|turn| turn.number <= last);
    }
    let bytes: usize = turns.iter().map(|turn| turn.json.len()).sum();
    let settings = read.settings.parse()?;
    let put = Arc::new(SessionPut {
        tenant: caller.tenant().clone(),
        session: id.clone(),
        id: SessionWriteId::new_v4(),
        turns: texts(turns)?,
        settings: read.settings.stored,
        only_create: true,
        ttl_ms: state.settings.session_ttl_ms,
    });
    let written = write_session(&state, put, bytes as u64 > LONG_WRITE_BYTES).await?;
    drop(read.reserved);
    respond(&state, &id, written, &settings, read.settings.reserved)
}

/// What a fork takes from a session.
struct Source {
    turns: Vec<StoredTurn>,
    settings: ReadSettings,
    /// The memory of the turns, if they are large.
    reserved: Option<ReservedBytes>,
}

async fn read(state: &ApiState, tenant: &TenantId, id: &SessionId) -> Result<Source, Problem> {
    for _ in 0..READS_MAX {
        let mut info = read_info(state, tenant, id)
            .await?
            .ok_or_else(Problem::session_not_found)?;
        let read = match info.turns.take() {
            Some(turns) => Some((turns, None)),
            None => {
                let memory = Memory {
                    copies: COPIES,
                    further_bytes: settings::large_bytes(&info),
                };
                let page = None;
                let read = large_session::read(state, tenant, id, &info, page, memory).await?;
                read.map(
                    |ReadTurns {
                         turns, reserved, ..
                     }| (turns, reserved),
                )
            }
        };
        let Some((turns, reserved)) = read else {
            continue;
        };
        if let Some(settings) =
            settings::read(state, tenant, id, &mut info, reserved.is_some()).await?
        {
            return Ok(Source {
                turns,
                settings,
                reserved,
            });
        }
    }
    let detail = "the session changed while it was read";
    Err(Problem::new(ProblemCode::Overloaded, detail).retry_after(1))
}

/// The turns as text. They are not copied.
fn texts(turns: Vec<StoredTurn>) -> Result<Vec<String>, Problem> {
    let texts = turns.into_iter().map(|turn| String::from_utf8(turn.json));
    texts.collect::<Result<_, _>>().map_err(|error| {
        tracing::error!(%error, "a stored turn is not UTF-8");
        Problem::new(ProblemCode::Internal, "a stored turn cannot be read")
    })
}

/// A new random id, which no session has.
fn fresh_id() -> Result<SessionId, Problem> {
    let text = format!("session_{}", SessionWriteId::new_v4().simple());
    SessionId::parse(&text).map_err(|error| {
        tracing::error!(%error, "an id of a session is not valid");
        Problem::new(ProblemCode::Internal, "no id for the session could be made")
    })
}
