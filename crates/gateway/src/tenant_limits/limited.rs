//! Limits a request that submits or retries a job, or stores a whole session.

use std::{convert::Infallible, panic::AssertUnwindSafe, sync::Arc};

use axum::{
    extract::{FromRequestParts, MatchedPath, Request},
    http::{Method, request::Parts},
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;

use super::{limiter::Limiter, live_permit::LivePermit, policy::Policy, tenant::LimitedTenant};
use crate::{
    auth::Caller, panic_response::panic_response, problem::Problem, problem_code::ProblemCode,
};

/// Whether a route is limited: those that admit a job, and those that store a whole session.
pub(crate) fn is_limited(method: &Method, route: &str) -> bool {
    match *method {
        Method::POST => matches!(
            route,
            "/v1/jobs" | "/v1/jobs/{id}/retry" | "/v1/sessions/{id}/fork"
        ),
        Method::PUT => route == "/v1/sessions/{id}",
        _ => false,
    }
}

/// Handles a request within the limits of its tenant. Once the limits are known, every response to a limited
/// request has the headers about them.
pub(crate) async fn within_limits(
    limiter: &Limiter,
    mut request: Request,
    run: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    let route = request.extensions().get::<MatchedPath>();
    let is_limited = route.is_some_and(|route| is_limited(request.method(), route.as_str()));
    if is_limited && !limiter.is_read() {
        // A limit that is not known yet must not be exceeded.
        let detail = "the gateway has just started and has not read the limits of tenants from the store yet";
        let problem = Problem::new(ProblemCode::StoreUnavailable, detail);
        return problem.retry_after(2).into_response();
    }
    let Some(tenant) = tenant_of(limiter, &request) else {
        return run(request).await;
    };
    let response = match tenant.take(Policy::Requests).await {
        Ok(_is_taken) => {
            request.extensions_mut().insert(Arc::clone(&tenant));
            // The response to a request whose handler panics has these headers too.
            let response = AssertUnwindSafe(run(request)).catch_unwind().await;
            response.unwrap_or_else(panic_response)
        }
        Err(problem) => problem.into_response(),
    };
    let mut response = response;
    tenant.add_headers(response.headers_mut());
    response
}

/// Adds the headers about the limits to the response to a request of a limited route.
pub(crate) fn add_headers(limiter: &Limiter, request: &Request, response: &mut Response) {
    if let Some(tenant) = tenant_of(limiter, request) {
        tenant.add_headers(response.headers_mut());
    }
}

fn tenant_of(limiter: &Limiter, request: &Request) -> Option<Arc<LimitedTenant>> {
    let route = request.extensions().get::<MatchedPath>()?;
    if !is_limited(request.method(), route.as_str()) {
        return None;
    }
    limiter.tenant(request.extensions().get::<Caller>()?.tenant())
}

/// The limits of the request's tenant, if it has any.
pub(crate) struct Limited(Option<Arc<LimitedTenant>>);

impl Limited {
    /// Takes a permit for a live job. `None` if the tenant has no such limit.
    pub(crate) async fn live_permit(&self) -> Result<Option<LivePermit>, Problem> {
        match &self.0 {
            Some(tenant) => LivePermit::take(tenant).await,
            None => Ok(None),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Limited {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(parts.extensions.get().cloned()))
    }
}
