//! The table of all error responses of the API: status, code, title.

use axum::http::StatusCode;

/// What went wrong. Clients should rely on the code's text, which is stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProblemCode {
    /// The body is not JSON, is cut off, or is nested too deeply.
    InvalidJson,
    /// The request is not valid HTTP/1.1.
    InvalidHttp,
    /// The request has a query parameter that the route does not have.
    UnknownParameter,
    /// The request has no valid API key.
    Unauthorized,
    /// The API key lacks the scope that the route requires.
    InsufficientScope,
    /// A web page of another origin made the request.
    OriginNotAllowed,
    /// No route has this path.
    NotFound,
    /// No job has this id, its record has expired or was deleted, or the text is not a job id.
    JobNotFound,
    /// No session has this id, it has expired, or the text is not a session id.
    SessionNotFound,
    /// No API key of the store has this id.
    ApiKeyNotFound,
    /// The route does not accept this method.
    MethodNotAllowed,
    /// The headers did not arrive within their time limit.
    RequestTimeout,
    /// The body did not arrive within its time limit.
    BodyTimeout,
    /// The job has already ended, so it cannot be cancelled. A completed job cannot be retried either.
    JobFinished,
    /// The job has not ended, so it can be neither deleted nor retried.
    JobLive,
    /// The session has live jobs.
    SessionBusy,
    /// This gateway requires no API keys, so it has none to manage.
    ApiKeysNotRequired,
    /// The job replaces turns of its session, whose turns have changed since the submit. So the job cannot be retried.
    SessionChanged,
    /// The store has as many API keys as it may have.
    TooManyApiKeys,
    /// A session has this id already.
    SessionExists,
    /// The job of the idempotency key was deleted.
    JobDeleted,
    /// The body has too many bytes.
    BodyTooLarge,
    /// The session is too large for one response. Its turns can be read in pages.
    SessionTooLarge,
    /// The target of the request is too long.
    UriTooLong,
    /// The Content-Type is not JSON, or the body is compressed.
    UnsupportedMediaType,
    /// The Host is not a name of this gateway.
    HostNotAllowed,
    /// Some values of the request are not valid. `errors` names at most 16 of them, and the values that are accepted.
    InvalidRequest,
    /// An earlier request had the same idempotency key and another body.
    IdempotencyKeyReused,
    /// The headers are too many or too large.
    HeadersTooLarge,
    /// The session's lane is full. `Retry-After` estimates when one of its jobs has ended.
    SessionFull,
    /// A limit of the tenant is reached. The problem has a `type` that IANA has registered, and a `Retry-After`.
    QuotaExceeded,
    /// The tenant has no limits.
    LimitsNotFound,
    /// A defect of the gateway or of the store.
    Internal,
    /// The number of live jobs has reached the limit. This problem and all below except `WorkerWedged` have a
    /// `Retry-After`.
    BacklogFull,
    /// The number of jobs that wait for the provider of the submit's model has reached its limit. Submits for other
    /// providers are accepted.
    ProviderBacklogFull,
    /// The queue has confirmed no message for over 30 s. The code's text is `dispatch_unhealthy`, because clients rely on
    /// the older name.
    QueueUnhealthy,
    /// The store has no free space for new jobs.
    StoreFull,
    /// The store did not answer in time. A submit may still have been accepted.
    StoreUnavailable,
    /// The process stops, so other gateways should get the requests.
    Stopping,
    /// The queue cannot be reached. Only the readiness of a worker has this problem.
    QueueUnavailable,
    /// The worker takes no jobs although it could. Only `/healthz` has this problem, and it has no `Retry-After`.
    WorkerWedged,
    /// Too many requests are being handled. A submit may still have been accepted.
    Overloaded,
}

impl ProblemCode {
    /// The code's text.
    pub(crate) const fn as_str(self) -> &'static str {
        self.row().1
    }

    /// The row of the table: status, code, title.
    #[rustfmt::skip]
    pub(crate) const fn row(self) -> (StatusCode, &'static str, &'static str) {
        use StatusCode as S;
        match self {
            Self::InvalidJson          => (S::BAD_REQUEST, "invalid_json", "The body is not valid JSON"),
            Self::InvalidHttp          => (S::BAD_REQUEST, "invalid_http", "The request is not valid HTTP/1.1"),
            Self::UnknownParameter     => (S::BAD_REQUEST, "unknown_parameter", "The request has an unknown query parameter"),
            Self::Unauthorized         => (S::UNAUTHORIZED, "unauthorized", "A valid API key is required"),
            Self::InsufficientScope    => (S::FORBIDDEN, "insufficient_scope", "The API key may not do this"),
            Self::OriginNotAllowed     => (S::FORBIDDEN, "origin_not_allowed", "Web pages of this origin may not use the API"),
            Self::NotFound             => (S::NOT_FOUND, "not_found", "There is no such route"),
            Self::JobNotFound          => (S::NOT_FOUND, "job_not_found", "There is no such job"),
            Self::SessionNotFound      => (S::NOT_FOUND, "session_not_found", "There is no such session"),
            Self::ApiKeyNotFound       => (S::NOT_FOUND, "api_key_not_found", "There is no such API key"),
            Self::MethodNotAllowed     => (S::METHOD_NOT_ALLOWED, "method_not_allowed", "The route does not accept this method"),
            Self::RequestTimeout       => (S::REQUEST_TIMEOUT, "request_timeout", "The request did not arrive in time"),
            Self::BodyTimeout          => (S::REQUEST_TIMEOUT, "body_timeout", "The body did not arrive in time"),
            Self::JobFinished          => (S::CONFLICT, "job_finished", "The job has already ended"),
            Self::JobLive              => (S::CONFLICT, "job_live", "The job has not ended"),
            Self::ApiKeysNotRequired   => (S::CONFLICT, "api_keys_not_required", "This gateway requires no API keys"),
            Self::TooManyApiKeys       => (S::CONFLICT, "too_many_api_keys", "There are too many API keys"),
            Self::JobDeleted           => (S::GONE, "job_deleted", "The job was deleted"),
            Self::SessionBusy          => (S::CONFLICT, "session_busy", "The session has live jobs"),
            Self::SessionChanged       => (S::CONFLICT, "session_changed", "The session has other turns than at the submit"),
            Self::SessionExists        => (S::CONFLICT, "session_exists", "A session has this id already"),
            Self::BodyTooLarge         => (S::PAYLOAD_TOO_LARGE, "body_too_large", "The body is too large"),
            Self::UriTooLong           => (S::URI_TOO_LONG, "uri_too_long", "The target of the request is too long"),
            Self::SessionTooLarge      => (S::UNPROCESSABLE_ENTITY, "session_too_large", "The session is too large for one response"),
            Self::UnsupportedMediaType => (S::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "The body must be JSON"),
            Self::HostNotAllowed       => (S::MISDIRECTED_REQUEST, "host_not_allowed", "The host is not a name of this gateway"),
            Self::InvalidRequest       => (S::UNPROCESSABLE_ENTITY, "invalid_request", "The request is not valid"),
            Self::IdempotencyKeyReused => (S::UNPROCESSABLE_ENTITY, "idempotency_key_reused", "The idempotency key belongs to another request"),
            Self::HeadersTooLarge      => (S::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large", "The headers are too many or too large"),
            Self::SessionFull          => (S::TOO_MANY_REQUESTS, "session_full", "The session has too many live jobs"),
            Self::QuotaExceeded        => (S::TOO_MANY_REQUESTS, "quota_exceeded", "A limit of the tenant is reached"),
            Self::LimitsNotFound       => (S::NOT_FOUND, "limits_not_found", "The tenant has no limits"),
            Self::Internal             => (S::INTERNAL_SERVER_ERROR, "internal", "An internal error occurred"),
            Self::BacklogFull          => (S::SERVICE_UNAVAILABLE, "backlog_full", "Too many jobs are live"),
            Self::ProviderBacklogFull  => (S::SERVICE_UNAVAILABLE, "provider_backlog_full", "Too many jobs wait for the provider"),
            Self::QueueUnhealthy       => (S::SERVICE_UNAVAILABLE, "dispatch_unhealthy", "The queue does not confirm messages"),
            Self::StoreFull            => (S::SERVICE_UNAVAILABLE, "store_full", "The store has no space for new jobs"),
            Self::StoreUnavailable     => (S::SERVICE_UNAVAILABLE, "store_unavailable", "The store does not answer"),
            Self::Stopping             => (S::SERVICE_UNAVAILABLE, "stopping", "The process stops"),
            Self::QueueUnavailable     => (S::SERVICE_UNAVAILABLE, "queue_unavailable", "The queue cannot be reached"),
            Self::WorkerWedged         => (S::SERVICE_UNAVAILABLE, "worker_wedged", "The worker takes no jobs"),
            Self::Overloaded           => (S::SERVICE_UNAVAILABLE, "overloaded", "Too many requests at once"),
        }
    }
}
