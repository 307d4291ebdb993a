//! A request and a response, independent of the version of HTTP.

use bytes::Bytes;
use http::{HeaderMap, Version};

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct HttpRequest {
    /// The version of HTTP.
    pub version: Version,
    /// The method.
    pub method: String,
    /// The path and the query.
    pub target: String,
    /// All headers.
    pub headers: HeaderMap,
    /// The whole body; empty if the server does not read bodies.
    pub body: Vec<u8>,
}

/// A response to a request.
#[derive(Clone, Debug)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The headers, without `content-length` and `transfer-encoding`.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Bytes,
}

impl Response {
    /// A response with a JSON body.
    #[must_use]
    pub fn json(status: u16, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.into(),
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}
