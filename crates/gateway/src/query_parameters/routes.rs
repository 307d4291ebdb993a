//! The query parameters of each route.

use axum::http::Method;

use super::parameter::{Parameters, is_read};
use crate::{admin_keys, jobs, sessions};

/// The query parameters of a route; `None` if it ignores unknown parameters.
pub(crate) fn parameters_of(method: &Method, route: &str) -> Option<Parameters> {
    match route {
        "/v1/jobs" if is_read(method) => Some(&jobs::LIST_PARAMETERS),
        "/v1/jobs" if *method == Method::POST => Some(&jobs::WAIT_PARAMETERS),
        // The route does not have the method.
        "/v1/jobs" => None,
        "/v1/jobs/{id}" if is_read(method) => Some(&jobs::WAIT_PARAMETERS),
        "/v1/sessions" => Some(&sessions::LIST_PARAMETERS),
        "/v1/sessions/{id}" if is_read(method) => Some(&sessions::PAGE_PARAMETERS),
        "/v1/admin/keys" if is_read(method) => Some(&admin_keys::LIST_PARAMETERS),
        _ if route.starts_with("/v1/") => Some(&[]),
        _ => None,
    }
}

/// Whether the handler of a route answers the faults of the query, because the request may have others: in its body, or in a tenant in
/// its path.
pub(super) fn is_answered_by_handler(method: &Method, route: &str) -> bool {
    match route {
        "/v1/jobs" | "/v1/admin/keys" | "/v1/sessions/{id}/fork" => *method == Method::POST,
        "/v1/sessions/{id}" => matches!(*method, Method::PUT | Method::PATCH),
        "/v1/admin/tenants/{tenant}/limits" => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Method;

    use super::parameters_of;

    fn names(method: &Method, route: &str) -> Option<Vec<&'static str>> {
        let parameters = parameters_of(method, route)?;
        Some(parameters.iter().map(|known| known.name()).collect())
    }

    #[test]
    fn each_route_has_its_own_parameters() {
        assert_eq!(names(&Method::GET, "/readyz"), None);
        assert_eq!(names(&Method::GET, "/v1/queues"), Some(vec![]));
        let of_job = "/v1/jobs/{id}";
        for method in [Method::GET, Method::HEAD] {
            assert_eq!(names(&method, of_job), Some(vec!["wait_s"]));
        }
        assert_eq!(names(&Method::DELETE, of_job), Some(vec![]));
        assert_eq!(names(&Method::POST, "/v1/jobs"), Some(vec!["wait_s"]));
    }
}
