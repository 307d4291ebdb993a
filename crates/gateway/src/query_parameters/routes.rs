//! The query parameters of each route.

use std::collections::HashMap;

use axum::http::Method;

use super::parameter::{Parameters, is_read};
use crate::{admin_keys, jobs, sessions};

/// The methods of each route. A request with another method gets 405, whatever its query is.
pub(crate) struct RouteMethods(HashMap<&'static str, Vec<Method>>);

impl RouteMethods {
    pub(crate) fn new(routes: impl Iterator<Item = (Method, &'static str)>) -> Self {
        let mut methods: HashMap<&'static str, Vec<Method>> = HashMap::new();
        for (method, route) in routes {
            methods.entry(route).or_default().push(method);
        }
        Self(methods)
    }

    pub(super) fn has(&self, method: &Method, route: &str) -> bool {
        // axum answers HEAD with the handler of GET.
        let method = if is_read(method) {
            &Method::GET
        } else {
            method
        };
        let methods = self.0.get(route);
        methods.is_some_and(|methods| methods.contains(method))
    }
}

/// The query parameters of a route, for a method that it has; `None` if it ignores unknown parameters.
pub(crate) fn parameters_of(method: &Method, route: &str) -> Option<Parameters> {
    match route {
        "/v1/jobs" if is_read(method) => Some(&jobs::LIST_PARAMETERS),
        "/v1/jobs" => Some(&jobs::WAIT_PARAMETERS),
        "/v1/jobs/{id}" if is_read(method) => Some(&jobs::WAIT_PARAMETERS),
        "/v1/sessions" => Some(&sessions::LIST_PARAMETERS),
        "/v1/sessions/{id}" if is_read(method) => Some(&sessions::PAGE_PARAMETERS),
        "/v1/admin/keys" if is_read(method) => Some(&admin_keys::LIST_PARAMETERS),
        _ if route.starts_with("/v1/") => Some(&[]),
        _ => None,
    }
}

/// Whether the handler of a route answers the faults of the query, because the request may have other faults: in its body, or in a
/// tenant in its path.
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
