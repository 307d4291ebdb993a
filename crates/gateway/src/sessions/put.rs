//! `PUT /v1/sessions/{id}`: creates a session, or replaces one that has no live jobs.

use std::sync::Arc;

use axum::{
    extract::{Path, Request, State, rejection::PathRejection},
    http::{
        HeaderValue, StatusCode,
        header::{CONTENT_TYPE, LOCATION},
    },
    response::{IntoResponse, Response},
};
use forebay_runtime::byte_budget::ReservedBytes;
use forebay_shared::{
    ids::SessionId,
    session::SessionInfo,
    session_settings::SessionSettings,
    store::{SessionPut, SessionPutResult, SessionWriteId},
};

use super::{
    settings,
    view::{SessionSummary, json},
};
use crate::{
    auth::Caller, content_headers, path_ids::session_id, problem::Problem,
    problem_code::ProblemCode, request_faults::RequestFaults, reserved_body::reserved_body,
    state::ApiState, store_call, validation,
};

/// Writes a session.
pub(crate) async fn put(
    State(state): State<Arc<ApiState>>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    // The body is read before the checks, because a client that is refused while it sends may not see the response.
    let mut body = state.bodies.read(&parts.headers, body).await?;
    state.check_valid(&caller)?;
    // A text that is no id is answered like the id of a session that does not exist: after the faults of the request.
    let id = session_id(path);
    let faults = RequestFaults::of_query(&parts.extensions);
    let described_as_expected = content_headers::check(&parts.headers);
    let bounds = state.member.lanes.session_bounds();
    let validated = state
        .bodies
        .validate(&mut body, described_as_expected, faults, |bytes| {
            validation::session_write(bytes, &bounds)
        });
    let (write, memory) = validated.await?;
    let id = id?;
    let is_large = body.is_long_work();
    drop(body);
    let settings = settings::parse(&write.settings)?;
    let put = Arc::new(SessionPut {
        tenant: caller.tenant().clone(),
        session: id.clone(),
        id: SessionWriteId::new_v4(),
        turns: write.turns,
        settings: write.settings,
        only_create: false,
        ttl_ms: state.settings.session_ttl_ms,
    });
    let written = write_session(&state, put, is_large).await?;
    respond(&state, &id, written, &settings, memory)
}

/// Writes a session to the store.
pub(super) async fn write_session(
    state: &ApiState,
    put: Arc<SessionPut>,
    is_large: bool,
) -> Result<SessionPutResult, Problem> {
    let writing = state.member.store.put_session(put);
    if is_large {
        store_call::with_long_timeout(writing).await
    } else {
        store_call::with_timeout(writing).await
    }
}

/// The response to a write of a session. `reserved` is the memory of what was written.
pub(super) fn respond(
    state: &ApiState,
    id: &SessionId,
    written: SessionPutResult,
    settings: &SessionSettings,
    reserved: Option<ReservedBytes>,
) -> Result<Response, Problem> {
    match written {
        SessionPutResult::Created(info) => {
            let mut response = summary(state, StatusCode::CREATED, id, &info, settings, reserved)?;
            if let Ok(location) = HeaderValue::try_from(location(id)) {
                response.headers_mut().insert(LOCATION, location);
            }
            Ok(response)
        }
        SessionPutResult::Replaced(info) => {
            summary(state, StatusCode::OK, id, &info, settings, reserved)
        }
        SessionPutResult::HasLiveJobs => Err(Problem::new(
            ProblemCode::SessionBusy,
            "cancel its live jobs, or wait until they have ended",
        )),
        SessionPutResult::Exists => Err(Problem::new(
            ProblemCode::SessionExists,
            "choose another id, or delete the session first",
        )),
    }
}

/// The response that shows a session without its turns. It keeps as much of the reserved memory as it needs.
pub(super) fn summary(
    state: &ApiState,
    status: StatusCode,
    id: &SessionId,
    info: &SessionInfo,
    settings: &SessionSettings,
    mut reserved: Option<ReservedBytes>,
) -> Result<Response, Problem> {
    let json = json(&SessionSummary::of(state, id, info, settings))?;
    if let Some(reserved) = &mut reserved {
        reserved.shrink(json.capacity() as u64);
    }
    let json_type = (CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let body = reserved_body(vec![json], reserved);
    Ok((status, [json_type], body).into_response())
}

/// The path of a session. All bytes but the unreserved ones are percent-encoded (RFC 3986, section 2).
fn location(id: &SessionId) -> String {
    use std::fmt::Write as _;
    let mut path = String::from("/v1/sessions/");
    for byte in id.as_str().bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            // A write to a string cannot fail.
            let _always_ok = write!(path, "%{byte:02X}");
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use forebay_shared::ids::SessionId;

    use super::location;

    #[test]
    fn the_path_of_a_session_is_percent_encoded() {
        for (id, expected) in [("a-1._~", "a-1._~"), ("a/ü %", "a%2F%C3%BC%20%25")] {
            let id = SessionId::parse(id).expect("a valid id");
            assert_eq!(location(&id), format!("/v1/sessions/{expected}"));
        }
    }
}
