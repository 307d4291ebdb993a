//! Answers requests for the document.

use axum::{
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH},
    },
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The document as bytes, and its version.
#[derive(Debug)]
pub(crate) struct DocumentResponse {
    bytes: Bytes,
    etag: HeaderValue,
}

impl DocumentResponse {
    pub(crate) fn new(document: &Value) -> Self {
        let bytes = Bytes::from(document.to_string());
        let digest = Sha256::digest(&bytes);
        let hex: String = digest
            .iter()
            .take(16)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let etag = HeaderValue::try_from(format!("\"{hex}\""));
        Self {
            bytes,
            etag: etag.unwrap_or(HeaderValue::from_static("\"\"")),
        }
    }

    /// The document, or 304 if the client has this version (RFC 9110, section 13.1.2).
    pub(crate) fn answer(&self, headers: &HeaderMap) -> Response {
        let known = headers.get_all(IF_NONE_MATCH).iter();
        let mut tags = known
            .filter_map(|value| value.to_str().ok())
            .flat_map(|tags| tags.split(','));
        let is_known = tags.any(|tag| {
            let tag = tag.trim();
            tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == self.etag.as_bytes()
        });
        let etag = (ETAG, self.etag.clone());
        // A browser may keep the document, and asks each time whether it has changed.
        let cache = (CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if is_known {
            return (StatusCode::NOT_MODIFIED, [etag, cache]).into_response();
        }
        let json_type = (CONTENT_TYPE, HeaderValue::from_static("application/json"));
        ([json_type, etag, cache], self.bytes.clone()).into_response()
    }
}
