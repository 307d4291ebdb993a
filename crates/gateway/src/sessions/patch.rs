//! `PATCH /v1/sessions/{id}`: changes the attributes and the defaults of a session, by the rules of JSON Merge Patch (RFC 7396).

use std::{sync::Arc, time::Duration};

use axum::{
    extract::{Path, Request, State, rejection::PathRejection},
    http::StatusCode,
    response::Response,
};
use forebay_shared::store::{SettingsSwap, SettingsSwapResult};
use tokio::time::{Instant, sleep};

use super::{large_session::read_info, put::summary, settings};
use crate::{
    auth::Caller, content_headers, path_ids::session_id, problem::Problem,
    problem_code::ProblemCode, request_faults::RequestFaults, state::ApiState, store_call,
    validation,
};

/// How long a change is tried again because other requests change the settings at the same time.
const TRIES_TIME: Duration = Duration::from_secs(5);
/// The longest pause before the next try, in seconds.
const PAUSE_S_MAX: f64 = 0.05;

/// Changes the settings of a session.
pub(crate) async fn patch(
    State(state): State<Arc<ApiState>>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    // The body is read before the checks, because a client that is refused while it sends may not see the response.
    let mut body = state.bodies.read(&parts.headers, body).await?;
    state.check_valid(&caller)?;
    let id = session_id(path);
    let faults = RequestFaults::of_query(&parts.extensions);
    let described_as_expected = content_headers::check_merge_patch(&parts.headers);
    let validated = state
        .bodies
        .validate(&mut body, described_as_expected, faults, |bytes| {
            validation::settings_patch(bytes)
        });
    let (patch, _memory) = validated.await?;
    drop(body);
    let id = id?;
    let tenant = caller.tenant();
    let deadline = Instant::now() + TRIES_TIME;
    while Instant::now() < deadline {
        let info = read_info(&state, tenant, &id).await?;
        let mut info = info.ok_or_else(Problem::session_not_found)?;
        let is_reserved = false;
        let found = settings::read(&state, tenant, &id, &mut info, is_reserved).await?;
        let found = found.ok_or_else(Problem::session_not_found)?;
        let next = patch.apply(&found.parse()?)?;
        let settings = settings::parse(&next)?;
        let swap = Arc::new(SettingsSwap {
            tenant: tenant.clone(),
            session: id.clone(),
            expected: found.stored,
            next,
            ttl_ms: state.settings.session_ttl_ms,
        });
        let swap = state.member.store.swap_settings(swap);
        match store_call::with_timeout(swap).await? {
            SettingsSwapResult::Done(info) => {
                let reserved = found.reserved;
                return summary(&state, StatusCode::OK, &id, &info, &settings, reserved);
            }
            SettingsSwapResult::Changed => {
                let pause_s = rand::random::<f64>() * PAUSE_S_MAX;
                drop(found.reserved);
                sleep(Duration::from_secs_f64(pause_s)).await;
            }
            SettingsSwapResult::NotFound => return Err(Problem::session_not_found()),
        }
    }
    let detail = "too many requests change this session at the same time";
    Err(Problem::new(ProblemCode::Overloaded, detail).retry_after(1))
}
