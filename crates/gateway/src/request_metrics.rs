//! Records each request in the metrics: its route, its status, and how long it took. Counts submits by their outcomes.
//!
//! The route is the pattern that matched, never the path of the request: paths contain ids.

use axum::{
    extract::{MatchedPath, Request},
    http::{Method, StatusCode},
    response::Response,
};
use forebay_metrics::gateway::{ACCEPTED, GatewayMetrics, GaugeGuard, REPLAYED, RequestLabels};
use tokio::time::Instant;

use crate::{idempotency, problem_code::ProblemCode};

/// The patterns of the routes. The test `each_route_has_its_own_label` compares them with the routes of the API.
const ROUTES: [&str; 19] = [
    "/v1/jobs",
    "/v1/jobs/{id}",
    "/v1/jobs/{id}/cancel",
    "/v1/jobs/{id}/retry",
    "/v1/sessions",
    "/v1/sessions/{id}",
    "/v1/sessions/{id}/fork",
    "/v1/queues",
    "/v1/providers",
    "/v1/admin/keys",
    "/v1/admin/keys/{key_id}",
    "/v1/admin/tenants/{tenant}/limits",
    "/healthz",
    "/readyz",
    "/readyz/submits",
    "/",
    "/openapi.json",
    "/docs",
    "/docs/{file}",
];

/// The route of submits.
const SUBMIT_ROUTE: &str = "/v1/jobs";
/// The label of unknown routes and methods.
const OTHER: &str = "other";

/// The record of a request that is being handled. A request whose client goes away before the response is not recorded.
pub(crate) struct RequestRecord {
    metrics: GatewayMetrics,
    began: Instant,
    route: &'static str,
    method: &'static str,
    in_flight: GaugeGuard,
}

impl RequestRecord {
    pub(crate) fn begin(metrics: GatewayMetrics, request: &Request) -> Self {
        let matched = request.extensions().get::<MatchedPath>();
        Self {
            began: Instant::now(),
            route: matched.map_or(OTHER, |path| route_label(path.as_str())),
            method: method_label(request.method()),
            in_flight: GaugeGuard::new(&metrics.requests_in_flight),
            metrics,
        }
    }

    /// Records the request with its response.
    pub(crate) fn end(self, response: &Response) {
        let Self {
            metrics,
            began,
            route,
            method,
            in_flight,
        } = self;
        drop(in_flight);
        let labels = RequestLabels {
            method,
            route,
            status: response.status().as_u16(),
        };
        metrics.record_request(labels, began.elapsed());
        if route == SUBMIT_ROUTE && method == "POST" {
            metrics.count_submit(submit_outcome(response));
        }
    }
}

fn route_label(matched: &str) -> &'static str {
    let known = ROUTES.iter().find(|route| **route == matched);
    known.copied().unwrap_or(OTHER)
}

fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => OTHER,
    }
}

/// The outcome of a submit. Each problem response carries its code as an extension.
fn submit_outcome(response: &Response) -> &'static str {
    if let Some(code) = response.extensions().get::<ProblemCode>() {
        return code.as_str();
    }
    match response.status() {
        // 200: the job has ended within the wait that the submit asked for.
        StatusCode::ACCEPTED | StatusCode::OK => {
            match response.headers().contains_key(idempotency::REPLAYED) {
                true => REPLAYED,
                false => ACCEPTED,
            }
        }
        _ => OTHER,
    }
}

#[cfg(test)]
mod tests {
    use axum::{
        http::StatusCode,
        response::{IntoResponse, Response},
    };

    use super::{OTHER, route_label, submit_outcome};
    use crate::{idempotency, problem::Problem, problem_code::ProblemCode};

    #[test]
    fn a_submit_counts_by_its_response() {
        assert_eq!(
            submit_outcome(&StatusCode::ACCEPTED.into_response()),
            "accepted"
        );
        let mut replayed: Response = StatusCode::ACCEPTED.into_response();
        let yes = axum::http::HeaderValue::from_static("true");
        replayed.headers_mut().insert(idempotency::REPLAYED, yes);
        assert_eq!(submit_outcome(&replayed), "replayed");
        let refused = Problem::new(ProblemCode::BacklogFull, "full").into_response();
        assert_eq!(submit_outcome(&refused), "backlog_full");
    }

    #[test]
    fn an_unknown_route_is_other() {
        assert_eq!(route_label("/v1/jobs/{id}"), "/v1/jobs/{id}");
        assert_eq!(route_label("/v1/jobs/job_1"), OTHER);
    }
}
