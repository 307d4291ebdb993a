//! The attributes of a span that handles an HTTP request. OpenTelemetry semantic conventions for HTTP, version 1.44.0 (stable).

/// The method, or [`OTHER_METHOD`].
pub const REQUEST_METHOD: &str = "http.request.method";
/// The value for a method that neither RFC 9110 nor RFC 5789 defines.
pub const OTHER_METHOD: &str = "_OTHER";
/// What replaces an unknown method in the name of a span.
pub const OTHER_METHOD_NAME: &str = "HTTP";
/// The method as the client sent it, if [`REQUEST_METHOD`] is [`OTHER_METHOD`].
pub const REQUEST_METHOD_ORIGINAL: &str = "http.request.method_original";
/// The pattern of the path.
pub const ROUTE: &str = "http.route";
/// The status of the response.
pub const RESPONSE_STATUS: &str = "http.response.status_code";
/// The path of the request.
pub const URL_PATH: &str = "url.path";
/// The scheme of the request.
pub const URL_SCHEME: &str = "url.scheme";
