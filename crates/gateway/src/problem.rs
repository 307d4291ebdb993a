//! An error response, written as problem details (RFC 9457).
//!
//! `type` is `urn:forebay:problem:` followed by the code, or a type that IANA has registered. Type and code are stable;
//! `detail` is for people. The codes are in [`problem_code`](crate::problem_code).

use axum::{
    http::{
        HeaderName, HeaderValue, StatusCode,
        header::{ACCEPT_ENCODING, CONNECTION, CONTENT_TYPE, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{problem_code::ProblemCode, retry_after::set_retry_after};

/// The media type of JSON Merge Patch (RFC 7396).
pub(crate) const MERGE_PATCH: &str = "application/merge-patch+json";

/// The challenge to a request whose key is not valid (RFC 6750, section 3.1).
const INVALID_TOKEN: &str = "Bearer realm=\"forebay\", error=\"invalid_token\"";

/// The most faults that one response names.
pub(crate) const FIELD_ERRORS_MAX: usize = 16;

/// A part of a request that is not valid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct FieldError {
    /// The field's path, such as `input[2].content`, or the name of the parameter or of the header.
    pub(crate) field: String,
    /// The part of the request that has the field.
    #[serde(rename = "in")]
    pub(crate) part: RequestPart,
    /// What is wrong, or which values the field accepts.
    pub(crate) message: String,
}

/// A part of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(crate) enum RequestPart {
    RequestLine,
    Path,
    Query,
    Header,
    Body,
}

/// An error response.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    code: ProblemCode,
    detail: String,
    errors: Vec<FieldError>,
    retry_after_s: Option<u64>,
    closes_connection: bool,
    accepts_identity_only: bool,
    accepts_merge_patch: bool,
    missing: Vec<&'static str>,
    violated_policy: Option<&'static str>,
}

/// The type of a problem whose cause is a limit (draft-ietf-httpapi-ratelimit-headers-11).
const QUOTA_EXCEEDED_TYPE: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";

/// Problem details (RFC 9457).
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(crate) struct ProblemDetails<'a> {
    /// `urn:forebay:problem:` and the code. For `quota_exceeded`, a type that IANA has registered.
    r#type: String,
    title: &'a str,
    status: u16,
    /// What happened, for people.
    detail: &'a str,
    /// A stable word for programs.
    code: &'a str,
    /// What is not valid, at most 16 parts of the request.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
    /// What the process lacks to be ready.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    missing: &'a [&'static str],
    /// The limits of the tenant that are reached, by the names of their policies.
    #[serde(rename = "violated-policies", skip_serializing_if = "<[_]>::is_empty")]
    violated_policies: &'a [&'static str],
}

impl Problem {
    pub(crate) fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after_s: None,
            closes_connection: false,
            accepts_identity_only: false,
            accepts_merge_patch: false,
            missing: Vec::new(),
            violated_policy: None,
        }
    }

    /// A problem that one field, header or parameter causes. Its detail begins with the name `field`.
    pub(crate) fn with_field_error(
        code: ProblemCode,
        part: RequestPart,
        field: &str,
        message: impl Into<String>,
    ) -> Self {
        let error = FieldError {
            field: field.to_owned(),
            part,
            message: message.into(),
        };
        Self::with_errors(code, vec![error])
    }

    /// A problem with at least one cause. Its detail names the first one, and how many others there are.
    pub(crate) fn with_errors(code: ProblemCode, errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [only] => format!("{}: {}", only.field, only.message),
            [first, others @ ..] => {
                let more = others.len();
                format!("{}: {} (and {more} more)", first.field, first.message)
            }
            [] => String::from("the request is not valid"),
        };
        Self {
            errors,
            ..Self::new(code, detail)
        }
    }

    /// The same problem with the errors of all faults of its request. The first error must be its own.
    pub(crate) fn with_all_errors(self, errors: Vec<FieldError>) -> Self {
        let Self { detail, errors, .. } = Self::with_errors(self.code, errors);
        Self {
            detail,
            errors,
            ..self
        }
    }

    /// The response to a request with invalid fields. `errors` names at least one field.
    pub(crate) fn invalid_fields(errors: Vec<FieldError>) -> Self {
        Self::with_errors(ProblemCode::InvalidRequest, errors)
    }

    /// The response to a body with one invalid field.
    pub(crate) fn invalid_field(field: &str, message: impl Into<String>) -> Self {
        Self::with_field_error(
            ProblemCode::InvalidRequest,
            RequestPart::Body,
            field,
            message,
        )
    }

    /// Names what the process lacks to be ready.
    pub(crate) fn with_missing(mut self, missing: Vec<&'static str>) -> Self {
        self.missing = missing;
        self
    }

    /// Adds a `Retry-After` header of this many seconds.
    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// Closes the connection after the response, because the rest of the request may be unread.
    pub(crate) fn closing_connection(mut self) -> Self {
        self.closes_connection = true;
        self
    }

    /// Adds an `Accept-Encoding` header for a request whose body is compressed (RFC 9110, section 15.5.16).
    pub(crate) fn accepting_identity(mut self) -> Self {
        self.accepts_identity_only = true;
        self
    }

    /// Adds an `Accept-Patch` header (RFC 5789, section 3.1): the route accepts JSON Merge Patch (RFC 7396).
    pub(crate) fn accepting_merge_patch(mut self) -> Self {
        self.accepts_merge_patch = true;
        self
    }

    pub(crate) const fn status(&self) -> StatusCode {
        self.code.row().0
    }

    pub(crate) fn errors(&self) -> &[FieldError] {
        &self.errors
    }

    /// The response to a request beyond a limit of its tenant.
    pub(crate) fn quota_exceeded(policy: &'static str, detail: impl Into<String>) -> Self {
        Self {
            violated_policy: Some(policy),
            ..Self::new(ProblemCode::QuotaExceeded, detail)
        }
    }

    pub(crate) fn job_not_found() -> Self {
        let detail = "no job has this id, or its record has expired or was deleted";
        Self::new(ProblemCode::JobNotFound, detail)
    }

    pub(crate) fn job_deleted() -> Self {
        let detail = "the job of this Idempotency-Key was deleted; use another key for a new job";
        Self::new(ProblemCode::JobDeleted, detail)
    }

    pub(crate) fn api_key_not_found() -> Self {
        let detail = "the store has no API key with this id; keys of a file are not in the store";
        Self::new(ProblemCode::ApiKeyNotFound, detail)
    }

    /// The response if the key of the request is not valid, or became invalid while the request was read.
    pub(crate) fn unknown_key() -> Self {
        let detail = "the API key is unknown, was revoked or has expired";
        Self::new(ProblemCode::Unauthorized, detail)
    }

    pub(crate) fn session_not_found() -> Self {
        let detail = "no session has this id, or it has expired";
        Self::new(ProblemCode::SessionNotFound, detail)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, code, title) = self.code.row();
        let details = ProblemDetails {
            r#type: match self.code {
                ProblemCode::QuotaExceeded => QUOTA_EXCEEDED_TYPE.to_owned(),
                _ => format!("urn:forebay:problem:{code}"),
            },
            title,
            status: status.as_u16(),
            detail: &self.detail,
            code,
            errors: &self.errors,
            missing: &self.missing,
            violated_policies: self.violated_policy.as_slice(),
        };
        // Strings, numbers and lists of them always serialise.
        let body = serde_json::to_vec(&details).unwrap_or_default();
        let mut response = (status, body).into_response();
        // The metrics of submits count by this code.
        response.extensions_mut().insert(self.code);
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(seconds) = self.retry_after_s {
            set_retry_after(headers, seconds);
        }
        if self.accepts_identity_only {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        if self.accepts_merge_patch {
            let accept_patch = HeaderName::from_static("accept-patch");
            headers.insert(accept_patch, HeaderValue::from_static(MERGE_PATCH));
        }
        if self.code == ProblemCode::Unauthorized {
            let challenge = HeaderValue::from_static(INVALID_TOKEN);
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if self.closes_connection {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::{FieldError, Problem, RequestPart};

    #[test]
    fn the_detail_names_the_first_field_and_counts_the_others() {
        let error = |field: &str| FieldError {
            field: field.to_owned(),
            part: RequestPart::Body,
            message: String::from("is required"),
        };
        let problem = Problem::invalid_fields(vec![error("input"), error("model")]);
        assert_eq!(problem.detail, "input: is required (and 1 more)");
        assert_eq!(
            Problem::invalid_field("input", "is required").detail,
            "input: is required"
        );
    }
}
