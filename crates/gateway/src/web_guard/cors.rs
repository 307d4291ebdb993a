//! The answers to a browser about an allowed origin (CORS, in the Fetch standard of the WHATWG).

use axum::{
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
        header::{
            ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
            ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
            ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
        },
    },
    response::{IntoResponse, Response},
};

use super::origins::AllowedOrigins;

const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE");
/// Response headers that a web page may read, in addition to those that it may always read.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "Accept-Patch, Location, Retry-After, Idempotency-Replayed, Preference-Applied, RateLimit, RateLimit-Policy, WWW-Authenticate, X-Request-Id",
);
/// How long a browser may reuse the answer to a preflight, in seconds.
const MAX_AGE_S: HeaderValue = HeaderValue::from_static("600");
const ALLOW_PRIVATE_NETWORK: HeaderName =
    HeaderName::from_static("access-control-allow-private-network");
const REQUEST_PRIVATE_NETWORK: HeaderName =
    HeaderName::from_static("access-control-request-private-network");

/// Whether a request is a preflight: the question whether a web page may make another request.
pub(super) fn is_preflight(method: &Method, headers: &HeaderMap) -> bool {
    method == Method::OPTIONS && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to a preflight of an allowed origin.
pub(super) fn preflight_response(request: &HeaderMap) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
    headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE_S);
    if let Some(names) = request.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
    }
    if request.contains_key(REQUEST_PRIVATE_NETWORK) {
        headers.insert(ALLOW_PRIVATE_NETWORK, HeaderValue::from_static("true"));
    }
    response
}

/// The headers that let a web page of an allowed origin read a response.
pub(super) fn allow_origin(allowed: &AllowedOrigins, request: &HeaderMap, response: &mut Response) {
    let headers = response.headers_mut();
    let origin = if allowed.is_any() {
        Some(HeaderValue::from_static("*"))
    } else {
        request.get(ORIGIN).cloned()
    };
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    }
}

/// Tells caches that responses depend on the request's `Origin`.
pub(super) fn vary_by_origin(allowed: &AllowedOrigins, response: &mut Response) {
    if !allowed.is_any() && !allowed.is_empty() {
        let vary = HeaderValue::from_static("Origin");
        response.headers_mut().append(VARY, vary);
    }
}
