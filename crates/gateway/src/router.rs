//! The routes, and the responses to requests with an unknown path or method.

use std::sync::Arc;

use axum::{
    Router,
    http::{HeaderMap, Method, Uri},
    middleware,
    routing::{MethodRouter, delete, get, patch, post, put},
};

use crate::{
    admin_keys, admin_limits,
    around_handlers::{AroundHandlers, around_handlers},
    health, jobs,
    openapi::{self, Describe, DocumentResponse},
    problem::Problem,
    problem_code::ProblemCode,
    providers,
    query_parameters::RouteMethods,
    queues, sessions,
    state::ApiState,
    swagger_ui,
    web_guard::WebGuard,
    welcome,
};

/// The API as an axum router.
pub(crate) fn router(state: Arc<ApiState>, web_guard: WebGuard) -> Router {
    let routes = routes();
    let methods = routes
        .iter()
        .map(|route| (openapi::http_method(route.method), route.path));
    let around = AroundHandlers {
        metrics: state.member.metrics.gateway.clone(),
        web_guard,
        api_keys: state.keys.clone(),
        limiter: state.limiter.clone(),
        body_bytes_max: state.settings.body_bytes_max,
        methods: RouteMethods::new(methods),
    };
    let document = document_route(&state, &routes);
    let mut router = Router::new();
    for route in routes.into_iter().chain([document]) {
        router = router.route(route.path, route.handler);
    }
    router
        .fallback(unknown_route)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(state)
        .layer(middleware::from_fn_with_state(
            Arc::new(around),
            around_handlers,
        ))
}

/// A route and its description in the OpenAPI document.
struct Route {
    method: &'static str,
    path: &'static str,
    handler: MethodRouter<Arc<ApiState>>,
    describe: Describe,
}

/// All routes except that of the OpenAPI document.
#[rustfmt::skip]
fn routes() -> Vec<Route> {
    let route = |method, path, handler, describe| Route { method, path, handler, describe };
    vec![
        route("get", "/v1/jobs", get(jobs::list::get), openapi::list_jobs),
        route("post", "/v1/jobs", post(jobs::submit::post), openapi::submit_job),
        route("get", "/v1/jobs/{id}", get(jobs::get::get), openapi::get_job),
        route("post", "/v1/jobs/{id}/cancel", post(jobs::cancel::post), openapi::cancel_job),
        route("post", "/v1/jobs/{id}/retry", post(jobs::retry::post), openapi::retry_job),
        route("delete", "/v1/jobs/{id}", delete(jobs::delete::delete), openapi::delete_job),
        route("get", "/v1/sessions", get(sessions::list::get), openapi::list_sessions),
        route("get", "/v1/sessions/{id}", get(sessions::get::get), openapi::get_session),
        route("put", "/v1/sessions/{id}", put(sessions::put::put), openapi::put_session),
        route("patch", "/v1/sessions/{id}", patch(sessions::patch::patch), openapi::patch_session),
        route("post", "/v1/sessions/{id}/fork", post(sessions::fork::post), openapi::fork_session),
        route("delete", "/v1/sessions/{id}", delete(sessions::delete::delete), openapi::delete_session),
        route("get", "/v1/queues", get(queues::get), openapi::get_queues),
        route("get", "/v1/providers", get(providers::get), openapi::get_providers),
        route("get", "/v1/admin/keys", get(admin_keys::list::get), openapi::list_keys),
        route("post", "/v1/admin/keys", post(admin_keys::create::post), openapi::create_key),
        route("delete", "/v1/admin/keys/{key_id}", delete(admin_keys::revoke::delete), openapi::revoke_key),
        route("get", "/v1/admin/tenants/{tenant}/limits", get(admin_limits::get), openapi::get_limits),
        route("put", "/v1/admin/tenants/{tenant}/limits", put(admin_limits::put), openapi::put_limits),
        route("delete", "/v1/admin/tenants/{tenant}/limits", delete(admin_limits::delete), openapi::delete_limits),
        route("get", "/healthz", get(health::healthz), openapi::healthz),
        route("get", "/readyz", get(health::readyz), openapi::readyz),
        route("get", "/readyz/submits", get(health::readyz_submits), openapi::readyz_submits),
        route("get", "/", get(welcome::get), openapi::welcome),
        route("get", "/docs", get(swagger_ui::page), openapi::get_page),
        route("get", "/docs/{file}", get(swagger_ui::file), openapi::get_page_file),
    ]
}

/// The route of the OpenAPI document, which describes the other routes and this one.
fn document_route(state: &ApiState, routes: &[Route]) -> Route {
    let (path, describe): (_, Describe) = ("/openapi.json", openapi::get_document);
    let described = routes
        .iter()
        .map(|route| (route.method, route.path, route.describe));
    let described = described.chain([("get", path, describe)]);
    let document = openapi::document(&state.settings, described);
    let document = Arc::new(DocumentResponse::new(&document));
    let answer = move |headers: HeaderMap| {
        let document = Arc::clone(&document);
        async move { document.answer(&headers) }
    };
    Route {
        method: "get",
        path,
        handler: get(answer),
        describe,
    }
}

async fn unknown_route(uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(100).collect();
    let detail = format!("no route has the path {path}; GET / lists the routes");
    Problem::new(ProblemCode::NotFound, detail)
}

/// axum adds the header `Allow` to this response.
pub(crate) async fn method_not_allowed(method: Method) -> Problem {
    let method: String = method.as_str().chars().take(20).collect();
    let detail = format!("{method} is not allowed; the Allow header lists the allowed methods");
    Problem::new(ProblemCode::MethodNotAllowed, detail)
}
