//! Decides which scope a request needs, and whether its key has it (RFC 6750).

use axum::{
    extract::{MatchedPath, Request},
    http::{
        HeaderMap, HeaderValue, Method,
        header::{AUTHORIZATION, WWW_AUTHENTICATE},
    },
    response::{IntoResponse, Response},
};
use forebay_telemetry::task_context;

use super::{
    ValidKeys,
    caller::Caller,
    scopes::Scope::{self, Admin, Read, Submit},
    stored_keys::FoundKey,
};
use crate::{problem::Problem, problem_code::ProblemCode};

/// Who may make a request.
pub(crate) enum Access {
    /// Everyone, without a key.
    Open,
    /// The owner of any valid key.
    AnyKey,
    /// The owner of a key that has one of these scopes.
    OneOf(&'static [Scope]),
}

impl Access {
    /// Who may use a route. A route that is not named here needs the scope `read` or `submit`, and an unknown path any valid key.
    pub(crate) fn of(method: &Method, route: Option<&str>) -> Self {
        let is_read = method.is_safe();
        match route {
            Some("/" | "/healthz" | "/readyz" | "/readyz/submits") => Self::Open,
            Some("/openapi.json" | "/docs" | "/docs/{file}") => Self::Open,
            Some("/v1/providers") => Self::OneOf(&[Admin]),
            Some(
                "/v1/admin/keys" | "/v1/admin/keys/{key_id}" | "/v1/admin/tenants/{tenant}/limits",
            ) => Self::OneOf(&[Admin]),
            Some("/v1/queues") => Self::OneOf(&[Read, Admin]),
            Some(_) if is_read => Self::OneOf(&[Read]),
            Some(_) => Self::OneOf(&[Submit]),
            None => Self::AnyKey,
        }
    }
}

/// Checks the key of a request. Returns the request with its [`Caller`], or the response that refuses it. If the key is valid and lacks
/// the scope, returns both. A request that needs no key is returned without a caller.
#[expect(
    clippy::result_large_err,
    reason = "the response is passed on as it is"
)]
pub(crate) fn authorize(
    keys: &ValidKeys,
    mut request: Request,
) -> Result<(Request, Option<Response>), Response> {
    let route = request.extensions().get::<MatchedPath>();
    let access = Access::of(request.method(), route.map(MatchedPath::as_str));
    if matches!(access, Access::Open) {
        return Ok((request, None));
    }
    let caller = match bearer_key(request.headers()) {
        Ok(key) => match keys.find(key) {
            FoundKey::Caller(caller) => Ok(caller),
            FoundKey::Unknown => Err(Refusal::UnknownKey),
            FoundKey::NotRead => Err(Refusal::KeysNotRead),
        },
        Err(refusal) => Err(refusal),
    };
    let caller = caller.map_err(Refusal::into_response)?;
    task_context::update(|context| context.key_id = caller.key_id());
    let refusal = match access {
        Access::OneOf(scopes) if !scopes.iter().any(|scope| caller.may(*scope)) => {
            Some(Refusal::MissingScope(scopes).into_response())
        }
        _ => None,
    };
    request.extensions_mut().insert::<Caller>(caller);
    Ok((request, refusal))
}

/// The response to a request whose key was revoked while it waited.
pub(crate) fn unknown_key() -> Response {
    Refusal::UnknownKey.into_response()
}

/// The key of the header `Authorization`.
fn bearer_key(headers: &HeaderMap) -> Result<&str, Refusal> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Err(Refusal::NoKey);
    };
    if values.next().is_some() {
        return Err(Refusal::NotBearer);
    }
    let text = value.to_str().map_err(|_| Refusal::NotBearer)?;
    let (scheme, key) = text.split_once(' ').ok_or(Refusal::NotBearer)?;
    // The scheme is case-insensitive (RFC 9110, section 11.1).
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Refusal::NotBearer);
    }
    Ok(key.trim())
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug)]
enum Refusal {
    /// There is no header `Authorization`.
    NoKey,
    /// There is more than one such header, or it is not `Bearer <key>`.
    NotBearer,
    /// No valid key is equal to the one of the request.
    UnknownKey,
    /// The keys of the store were not read yet, so the key may be one of them.
    KeysNotRead,
    /// The key has none of these scopes.
    MissingScope(&'static [Scope]),
}

impl Refusal {
    fn into_response(self) -> Response {
        let (code, detail, challenge) = match self {
            Self::NoKey => (
                ProblemCode::Unauthorized,
                String::from("an API key is required: Authorization: Bearer <key>"),
                String::from("Bearer realm=\"forebay\""),
            ),
            Self::NotBearer => (
                ProblemCode::Unauthorized,
                String::from("there must be one Authorization header: Bearer <key>"),
                // RFC 6750, section 3.1: no error code for a request without a bearer token.
                String::from("Bearer realm=\"forebay\""),
            ),
            Self::UnknownKey => return Problem::unknown_key().into_response(),
            // A client takes 401 as final, so a key that may be valid gets 503.
            Self::KeysNotRead => {
                let detail =
                    "the gateway has just started and has not read the API keys from the store yet";
                let problem = Problem::new(ProblemCode::StoreUnavailable, detail);
                return problem.retry_after(2).into_response();
            }
            Self::MissingScope(scopes) => {
                let names = scopes.iter().map(|scope| scope.as_str());
                let names = names.collect::<Vec<_>>().join(" or ");
                // The challenge names one scope, because a list of scopes would mean that all are required.
                let first = scopes.first().map_or("", |scope| scope.as_str());
                (
                    ProblemCode::InsufficientScope,
                    format!("the API key lacks the scope {names}"),
                    format!(
                        "Bearer realm=\"forebay\", error=\"insufficient_scope\", scope=\"{first}\""
                    ),
                )
            }
        };
        let mut response = Problem::new(code, detail).into_response();
        if let Ok(challenge) = HeaderValue::try_from(challenge) {
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
