//! The query parameters. Each is defined once, beside the handler of its route: its name, what it does and which values it accepts. The
//! definition serves to read the parameter, to refuse invalid values, and to publish the parameter in the OpenAPI document.
//!
//! Only routes below `/v1/` check their parameters. The health routes must accept any, because load balancers may add some.
//!
//! - `parameter`: the definition of a parameter. `kinds`: the values that several routes accept.
//! - `routes`: the parameters of each route.
//! - `query`: reads a query, and finds its faults.

mod kinds;
mod parameter;
mod query;
mod routes;

use axum::{
    extract::{MatchedPath, Request},
    middleware::Next,
    response::{IntoResponse, Response},
};

use self::routes::is_answered_by_handler;
pub(crate) use self::{
    kinds::{Cursor, Order, Time, WholeNumber, cursor, list_limit, order, page_limit},
    parameter::{AnyParameter, Parameters, QueryParameter, ValueKind},
    query::{Query, faults},
    routes::{RouteMethods, parameters_of},
};

/// Refuses a request whose query has faults. If the request may have other faults, its handler runs and names all faults in one
/// response.
pub(crate) async fn check(methods: &RouteMethods, mut request: Request, next: Next) -> Response {
    let Some(query) = request.uri().query() else {
        return next.run(request).await;
    };
    let method = request.method();
    let route = request.extensions().get::<MatchedPath>();
    let route = route.map(MatchedPath::as_str).unwrap_or_default();
    if methods.has(method, route)
        && let Some(parameters) = parameters_of(method, route)
    {
        let faults = faults(query, parameters);
        if is_answered_by_handler(method, route) {
            request.extensions_mut().insert(faults);
        } else if let Err(problem) = faults.into_result() {
            return problem.into_response();
        }
    }
    next.run(request).await
}
