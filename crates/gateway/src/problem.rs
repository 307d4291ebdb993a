//! Every error that the API answers with, as problem details (RFC 9457), in one table.
//!
//! `type` is `urn:forebay:problem:` and the code; both are stable, `detail` is for people.

use axum::{
    http::{
        HeaderValue, StatusCode,
        header::{CONNECTION, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
};
use forebay_runtime::lanes::LaneError;
use forebay_shared::store::StoreError;
use serde::Serialize;

use crate::api::set_retry_after;

/// What can go wrong. Program against `code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    InvalidJson,
    NotFound,
    JobNotFound,
    SessionNotFound,
    MethodNotAllowed,
    BodyTimeout,
    JobFinished,
    SessionBusy,
    BodyTooLarge,
    UnsupportedMediaType,
    InvalidRequest,
    IdempotencyKeyReused,
    SessionFull,
    Internal,
    BacklogFull,
    DispatchUnhealthy,
    StoreFull,
    StoreUnavailable,
    Overloaded,
}

impl Code {
    /// The table: status, code, title.
    #[rustfmt::skip]
    const fn row(self) -> (StatusCode, &'static str, &'static str) {
        use StatusCode as S;
        match self {
            // The body is not JSON, is cut off, or is nested too deeply to be read.
            Self::InvalidJson          => (S::BAD_REQUEST, "invalid_json", "The body is not valid JSON"),
            Self::NotFound             => (S::NOT_FOUND, "not_found", "There is no such route"),
            // Unknown, forgotten, or not the form of an id at all.
            Self::JobNotFound          => (S::NOT_FOUND, "job_not_found", "There is no such job"),
            Self::SessionNotFound      => (S::NOT_FOUND, "session_not_found", "There is no such session"),
            Self::MethodNotAllowed     => (S::METHOD_NOT_ALLOWED, "method_not_allowed", "The route does not take this method"),
            Self::BodyTimeout          => (S::REQUEST_TIMEOUT, "body_timeout", "The body took too long"),
            Self::JobFinished          => (S::CONFLICT, "job_finished", "The job has ended"),
            Self::SessionBusy          => (S::CONFLICT, "session_busy", "The session has live jobs"),
            Self::BodyTooLarge         => (S::PAYLOAD_TOO_LARGE, "body_too_large", "The body is too large"),
            Self::UnsupportedMediaType => (S::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "The body must be JSON"),
            // `errors` names the fields and what is allowed.
            Self::InvalidRequest       => (S::UNPROCESSABLE_ENTITY, "invalid_request", "The request is not valid"),
            Self::IdempotencyKeyReused => (S::UNPROCESSABLE_ENTITY, "idempotency_key_reused", "The idempotency key belongs to another request"),
            // Retry-After: when a job of the session may have ended.
            Self::SessionFull          => (S::TOO_MANY_REQUESTS, "session_full", "The session has too many live jobs"),
            Self::Internal             => (S::INTERNAL_SERVER_ERROR, "internal", "Something went wrong here"),
            // All with Retry-After. A submit that gets one of the last two may have been accepted.
            Self::BacklogFull          => (S::SERVICE_UNAVAILABLE, "backlog_full", "Too many jobs are waiting"),
            Self::DispatchUnhealthy    => (S::SERVICE_UNAVAILABLE, "dispatch_unhealthy", "Jobs do not reach the workers"),
            Self::StoreFull            => (S::SERVICE_UNAVAILABLE, "store_full", "The store has no room for new jobs"),
            Self::Overloaded           => (S::SERVICE_UNAVAILABLE, "overloaded", "Too many requests at once"),
            Self::StoreUnavailable     => (S::SERVICE_UNAVAILABLE, "store_unavailable", "The store does not answer"),
        }
    }
}

/// A field that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct FieldError {
    /// Where it stands, such as `input[2].content`.
    pub(crate) field: String,
    /// What is allowed there.
    pub(crate) message: String,
}

/// An error answer.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    code: Code,
    detail: String,
    errors: Vec<FieldError>,
    retry_after_s: Option<u64>,
    close: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
}

impl Problem {
    pub(crate) fn new(code: Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after_s: None,
            close: false,
        }
    }

    /// Fields that are not as they must be; at least one.
    pub(crate) fn fields(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [one] => format!("{}: {}", one.field, one.message),
            [first, rest @ ..] => {
                let more = rest.len();
                format!("{}: {} (and {more} more)", first.field, first.message)
            }
            [] => String::from("the request is not valid"),
        };
        Self {
            errors,
            ..Self::new(Code::InvalidRequest, detail)
        }
    }

    /// One field that is not as it must be.
    pub(crate) fn field(field: &str, message: impl Into<String>) -> Self {
        Self::fields(vec![FieldError {
            field: field.to_owned(),
            message: message.into(),
        }])
    }

    /// Says when another try may succeed.
    pub(crate) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// Ends the connection after the answer, for what the client still sends is not read.
    pub(crate) fn closing(mut self) -> Self {
        self.close = true;
        self
    }

    pub(crate) fn job_not_found() -> Self {
        let detail = "no job has this id, or its record is not kept any more";
        Self::new(Code::JobNotFound, detail)
    }

    pub(crate) fn session_not_found() -> Self {
        let detail = "no session has this id, or it is not kept any more";
        Self::new(Code::SessionNotFound, detail)
    }

    /// What a failure of the store means to a client. Logs what an operator has to look at; that the
    /// store is away is logged once a second by the loop that announces this process.
    pub(crate) fn from_store(error: &StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => {
                tracing::debug!(%error, "a request found the store away");
                let detail = "what was asked may have been done; it is safe to ask again";
                Self::new(Code::StoreUnavailable, detail).retry_after(2)
            }
            StoreError::Full => {
                let detail =
                    "jobs that were accepted go on; new ones are refused until there is room";
                Self::new(Code::StoreFull, detail).retry_after(10)
            }
            StoreError::Broken(source) => {
                tracing::error!(%error, %source, "the store failed");
                Self::new(Code::Internal, "the store failed")
            }
        }
    }

    /// What a change of a lane that was not made means to a client, refusals of the rules apart.
    pub(crate) fn from_lane(error: &LaneError) -> Self {
        match error {
            LaneError::Store(error) => Self::from_store(error),
            LaneError::Crowded => {
                let detail = "too many requests about one session at once";
                Self::new(Code::Overloaded, detail).retry_after(1)
            }
            LaneError::Refused(refused) => {
                tracing::error!(%refused, "a change was refused for no reason that it can have");
                Self::new(Code::Internal, "the change was refused")
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, code, title) = self.code.row();
        let document = Document {
            r#type: format!("urn:forebay:problem:{code}"),
            title,
            status: status.as_u16(),
            detail: &self.detail,
            code,
            errors: &self.errors,
        };
        // Strings, numbers and lists of them cannot fail to be written.
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(seconds) = self.retry_after_s {
            set_retry_after(headers, seconds);
        }
        if self.close {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::{FieldError, Problem};

    #[test]
    fn the_detail_names_the_first_field_and_counts_the_others() {
        let error = |field: &str| FieldError {
            field: field.to_owned(),
            message: String::from("is required"),
        };
        let problem = Problem::fields(vec![error("input"), error("model")]);
        assert_eq!(problem.detail, "input: is required (and 1 more)");
        assert_eq!(
            Problem::field("input", "is required").detail,
            "input: is required"
        );
    }
}
