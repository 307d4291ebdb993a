//! Refuses query parameters that a route does not have, because a client that misspells one would not notice.
//!
//! The health routes ignore all parameters: health checks of load balancers may add some.

use axum::{
    extract::{MatchedPath, Request},
    http::Method,
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::{problem::Problem, problem_code::ProblemCode};

/// The most characters printed of a parameter's name.
const NAME_CHARS_MAX: usize = 64;

/// The query parameters of a route; `None` if it ignores unknown parameters.
fn parameters_of(method: &Method, route: &str) -> Option<&'static [&'static str]> {
    match route {
        "/v1/jobs" if matches!(*method, Method::GET | Method::HEAD) => Some(&[
            "session_id",
            "status",
            "created_after",
            "created_before",
            "order",
            "limit",
            "cursor",
        ]),
        "/v1/jobs" if *method == Method::POST => Some(&["wait_s"]),
        // The route does not have the method.
        "/v1/jobs" => None,
        "/v1/admin/keys" if matches!(*method, Method::GET | Method::HEAD) => {
            Some(&["tenant", "limit", "cursor"])
        }
        "/v1/jobs/{id}" => Some(&["wait_s"]),
        "/v1/sessions" => Some(&["order", "limit", "cursor"]),
        "/v1/sessions/{id}" if matches!(*method, Method::PUT | Method::PATCH) => Some(&[]),
        "/v1/sessions/{id}" => Some(&["limit", "after"]),
        _ if route.starts_with("/v1/") => Some(&[]),
        _ => None,
    }
}

/// Refuses a request with an unknown query parameter.
pub(crate) async fn refuse_unknown(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>();
    let known = route.and_then(|route| parameters_of(request.method(), route.as_str()));
    if let Some(known) = known
        && let Some(name) = first_unknown(request.uri().query().unwrap_or_default(), known)
    {
        return unknown_parameter(name, known).into_response();
    }
    next.run(request).await
}

fn first_unknown<'a>(query: &'a str, known: &[&str]) -> Option<&'a str> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name))
        .find(|name| !known.contains(name))
}

fn unknown_parameter(name: &str, known: &[&str]) -> Problem {
    let name: String = name.chars().take(NAME_CHARS_MAX).collect();
    let message = match known {
        [] => String::from("is an unknown query parameter; this route has none"),
        _ => format!(
            "is an unknown query parameter; this route has {}",
            known.join(", ")
        ),
    };
    Problem::with_field_error(ProblemCode::UnknownParameter, &name, message)
}

#[cfg(test)]
mod tests {
    use axum::http::Method;

    use super::{first_unknown, parameters_of};

    #[test]
    fn the_first_unknown_parameter_is_found() {
        let known =
            parameters_of(&Method::GET, "/v1/jobs/{id}").expect("the route refuses parameters");
        assert_eq!(first_unknown("", known), None);
        assert_eq!(first_unknown("wait_s=3&&wait_s=4", known), None);
        assert_eq!(first_unknown("wait_s=3&x", known), Some("x"));
        assert_eq!(first_unknown("Wait_s=3", known), Some("Wait_s"));
        assert_eq!(first_unknown("=1", known), Some(""));
        assert_eq!(parameters_of(&Method::GET, "/readyz"), None);
        assert_eq!(parameters_of(&Method::GET, "/v1/queues"), Some(&[][..]));
        assert_eq!(
            parameters_of(&Method::POST, "/v1/jobs"),
            Some(&["wait_s"][..])
        );
    }
}
