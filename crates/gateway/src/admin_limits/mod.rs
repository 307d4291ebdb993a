//! The handlers of `/v1/admin/tenants/{tenant}/limits`: show, set and remove the limits of a tenant.
//!
//! Limits that are set here take precedence over those of the keys file. `tenant_limits` applies them.

mod body;
mod view;

use std::sync::Arc;

use axum::{
    extract::{Path, Request, State, rejection::PathRejection},
    http::StatusCode,
};
use bytes::Bytes;
use forebay_shared::{ids::TenantId, store::LIMITED_TENANTS_MAX};

pub(crate) use self::{body::published as body_schema, view::LimitsView};
use crate::{
    admin_keys::required_keys,
    auth::Caller,
    content_headers,
    json_response::Json,
    problem::{Problem, RequestPart},
    problem_code::ProblemCode,
    request_faults::RequestFaults,
    state::ApiState,
    store_call::with_timeout,
    tenant_name,
};

/// The most bytes of a body.
const BODY_BYTES_MAX: usize = 4_096;

/// Shows the limits of a tenant.
pub(crate) async fn get(
    State(state): State<Arc<ApiState>>,
    path: Result<Path<String>, PathRejection>,
    faults: RequestFaults,
) -> Result<Json<LimitsView>, Problem> {
    let tenant = faults.finish(tenant_id(path))?;
    if let Some(stored) = with_timeout(state.member.store.tenant_limits_of(&tenant)).await? {
        return Ok(Json(LimitsView::stored(tenant, &stored)));
    }
    let keys = state.settings.api_keys.as_ref();
    let of_file = keys.and_then(|keys| keys.limits_of(&tenant));
    let limits = of_file.ok_or_else(not_found)?;
    Ok(Json(LimitsView::of_file(tenant, &limits)))
}

/// Sets the limits of a tenant.
pub(crate) async fn put(
    State(state): State<Arc<ApiState>>,
    caller: Caller,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Json<LimitsView>, Problem> {
    let (parts, body) = request.into_parts();
    let mut body = state.bodies.read(&parts.headers, body).await?;
    state.check_valid(&caller)?;
    if body.bytes.len() > BODY_BYTES_MAX {
        let detail = format!("limits may have at most {BODY_BYTES_MAX} bytes");
        return Err(Problem::new(ProblemCode::BodyTooLarge, detail));
    }
    let mut faults = RequestFaults::of_query(&parts.extensions);
    let tenant = faults.collect(tenant_id(path));
    let described_as_expected = content_headers::check(&parts.headers);
    let parse = |bytes: &Bytes| body::parse(bytes);
    let validated = state
        .bodies
        .validate(&mut body, described_as_expected, faults, parse);
    let (limits, memory) = validated.await?;
    drop((body, memory));
    // A request without a valid tenant has a fault, so it was refused above.
    let tenant = tenant.ok_or_else(not_found)?;
    // Without API keys, requests have no limits of a tenant.
    required_keys(&state)?;
    let set = state.member.store.set_tenant_limits(&tenant, Some(&limits));
    if !with_timeout(set).await? {
        let detail = format!(
            "the store already has limits of {LIMITED_TENANTS_MAX} tenants, the most that it can have"
        );
        return Err(Problem::new(ProblemCode::StoreFull, detail).retry_after(60));
    }
    tracing::info!(%tenant, "the limits of a tenant were set");
    apply(&state).await;
    Ok(Json(LimitsView::stored(tenant, &limits)))
}

/// Removes the limits of a tenant from the store. Then the tenant's limits in the keys file apply, if there are any.
pub(crate) async fn delete(
    State(state): State<Arc<ApiState>>,
    path: Result<Path<String>, PathRejection>,
    faults: RequestFaults,
) -> Result<StatusCode, Problem> {
    let tenant = faults.finish(tenant_id(path))?;
    let removed = state.member.store.set_tenant_limits(&tenant, None);
    if !with_timeout(removed).await? {
        let detail = "no operator has set limits for the tenant; the keys file may have some";
        return Err(Problem::new(ProblemCode::LimitsNotFound, detail));
    }
    tracing::info!(%tenant, "the limits of a tenant were removed");
    apply(&state).await;
    Ok(StatusCode::NO_CONTENT)
}

/// Reads the limits from the store, so that this gateway applies the change at once. Other gateways read them every two seconds.
async fn apply(state: &ApiState) {
    if let Some(limiter) = &state.limiter {
        limiter.read_stored().await;
    }
}

fn tenant_id(path: Result<Path<String>, PathRejection>) -> Result<TenantId, Problem> {
    let tenant = path.ok().and_then(|Path(text)| tenant_name::parse(&text));
    tenant.ok_or_else(|| {
        Problem::with_field_error(
            ProblemCode::InvalidRequest,
            RequestPart::Path,
            "tenant",
            format!("must be {}", tenant_name::ALLOWED),
        )
    })
}

fn not_found() -> Problem {
    Problem::new(
        ProblemCode::LimitsNotFound,
        "no limits are set for the tenant",
    )
}
