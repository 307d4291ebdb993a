//! One log line for each request, at level debug: the method, the route, the status and the time. It shows no id from
//! the path and no part of a body.

use axum::{
    extract::{MatchedPath, Request},
    http::Method,
    response::Response,
};
use tokio::time::Instant;

/// What the line of a request shows.
pub(crate) struct AccessLog {
    began: Instant,
    method: Method,
    route: Option<MatchedPath>,
}

impl AccessLog {
    /// Begins the line of a request. `None` if the log leaves out the level debug.
    pub(crate) fn begin(request: &Request) -> Option<Self> {
        tracing::enabled!(tracing::Level::DEBUG).then(|| Self {
            began: Instant::now(),
            method: request.method().clone(),
            route: request.extensions().get::<MatchedPath>().cloned(),
        })
    }

    /// Writes the line.
    pub(crate) fn end(self, response: &Response) {
        let Self {
            began,
            method,
            route,
        } = self;
        tracing::debug!(
            %method,
            route = route.as_ref().map(MatchedPath::as_str),
            status = response.status().as_u16(),
            elapsed_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            "request answered"
        );
    }
}
