//! What runs around every handler of the API. It is one layer of axum, because each layer costs every request several allocations and
//! moves.

use std::{panic::AssertUnwindSafe, sync::Arc};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use forebay_metrics::gateway::GatewayMetrics;
use futures_util::FutureExt;

use crate::{
    auth::{ValidKeys, authorize},
    panic_response::panic_response,
    query_parameters::{self, RouteMethods},
    request_body, request_context,
    tenant_limits::{self, Limiter, within_limits},
    unread_body,
    web_guard::{self, WebGuard},
};

/// What the layer needs.
pub(crate) struct AroundHandlers {
    pub(crate) metrics: GatewayMetrics,
    pub(crate) web_guard: WebGuard,
    pub(crate) api_keys: Option<ValidKeys>,
    /// `None` if the gateway requires no API keys. Then tenants have no limits.
    pub(crate) limiter: Option<Arc<Limiter>>,
    pub(crate) body_bytes_max: usize,
    pub(crate) methods: RouteMethods,
}

/// Handles a request within its context, unless a rule refuses the request. A panic becomes a response.
pub(crate) fn around_handlers(
    State(around): State<Arc<AroundHandlers>>,
    request: Request,
    next: Next,
) -> impl Future<Output = Response> + Send {
    let metrics = around.metrics.clone();
    request_context::with_context(metrics, request, |request| {
        let handling = unread_body::discard_unread(request, async move |request| {
            let handle = async |request| refuse_or_run(&around, request, next).await;
            web_guard::guard(&around.web_guard, request, handle).await
        });
        let caught = AssertUnwindSafe(handling).catch_unwind();
        caught.map(|response| response.unwrap_or_else(panic_response))
    })
}

async fn refuse_or_run(around: &AroundHandlers, request: Request, next: Next) -> Response {
    let run = async |request| {
        let run = async |request| query_parameters::check(&around.methods, request, next).await;
        request_body::refuse_too_large(around.body_bytes_max, request, run).await
    };
    let Some(keys) = &around.api_keys else {
        return run(request).await;
    };
    let (request, refusal) = match authorize(keys, request) {
        Ok(authorized) => authorized,
        Err(refusal) => return refusal,
    };
    if let Some(mut refusal) = refusal {
        // A request whose key lacks the scope does not use up the requests of its tenant.
        if let Some(limiter) = &around.limiter {
            tenant_limits::add_headers(limiter, &request, &mut refusal);
        }
        return refusal;
    }
    match &around.limiter {
        // Boxed, so that the future of a request without limits stays small.
        Some(limiter) => Box::pin(within_limits(limiter, request, run)).await,
        None => run(request).await,
    }
}
