//! The attributes of a span that handles an HTTP request. OpenTelemetry semantic conventions for HTTP, version 1.44.0 (stable).

/// The method, or [`OTHER_METHOD`] for a method that HTTP does not define.
pub const REQUEST_METHOD: &str = "http.request.method";
/// The value for a method that HTTP does not define.
pub const OTHER_METHOD: &str = "_OTHER";
/// The pattern of the path.
pub const ROUTE: &str = "http.route";
/// The status of the response.
pub const RESPONSE_STATUS: &str = "http.response.status_code";
/// The path of the request.
pub const URL_PATH: &str = "url.path";
/// The scheme of the request.
pub const URL_SCHEME: &str = "url.scheme";
