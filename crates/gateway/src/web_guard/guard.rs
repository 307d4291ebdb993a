//! Applies the rules about `Host`, `Origin` and `Sec-Fetch-Site` to each request.

use axum::{
    body::Body,
    extract::Request,
    http::{
        HeaderMap, Method, Version,
        header::{CONTENT_TYPE, HOST},
    },
    response::{IntoResponse, Response},
};

use super::{
    authority::Authority,
    cors,
    hosts::{AllowedHosts, HostOwner},
    origins::{AllowedOrigins, RequestSource},
};
use crate::{
    problem::{Problem, RequestPart},
    problem_code::ProblemCode,
};

/// The rules of one gateway.
pub(crate) struct WebGuard {
    pub(crate) hosts: AllowedHosts,
    pub(crate) origins: AllowedOrigins,
    /// Whether a setting can allow other origins.
    pub(crate) can_allow_origins: bool,
    /// Whether only this machine can reach the gateway.
    pub(crate) is_loopback_listener: bool,
}

impl WebGuard {
    /// Whether a request with these headers may name this host.
    fn accept_host(&self, host: &Authority, headers: &HeaderMap) -> bool {
        match self.hosts.owner(host, self.is_loopback_listener) {
            HostOwner::Gateway => true,
            HostOwner::Other => false,
            // Programs may use any name. A web page can let its own host name resolve to the gateway, but it cannot do so with an IP
            // address.
            HostOwner::Unknown => {
                !self.origins.is_own_page(headers, host)
                    || host.ip().is_some()
                    || self.origins.have_host(host)
            }
        }
    }
}

/// Refuses the requests of web pages that are not allowed, answers preflights, and handles all other requests.
pub(crate) async fn guard(
    rules: &WebGuard,
    request: Request,
    handle: impl AsyncFnOnce(Request) -> Response,
) -> Response {
    let host = match host_of(&request) {
        Ok(host) => host,
        Err(problem) => return problem.into_response(),
    };
    let is_own_host = host
        .as_ref()
        .is_none_or(|host| rules.accept_host(host, request.headers()));
    let is_health_check = is_health_check(&request);
    let mut response = if !is_own_host && !is_health_check {
        foreign_host().into_response()
    } else {
        match rules.origins.source(request.headers(), host.as_ref()) {
            RequestSource::Own => handle(request).await,
            RequestSource::AllowedOrigin => {
                let headers = request.headers().clone();
                let mut response = if cors::is_preflight(request.method(), &headers) {
                    cors::preflight_response(&headers)
                } else {
                    handle(request).await
                };
                cors::allow_origin(&rules.origins, &headers, &mut response);
                response
            }
            RequestSource::Foreign(header) => {
                foreign_page(header, rules.can_allow_origins).into_response()
            }
        }
    };
    if !is_own_host && is_health_check {
        // Load balancers check the health under any name. They need the status only.
        *response.body_mut() = Body::empty();
        response.headers_mut().remove(CONTENT_TYPE);
    }
    cors::vary_by_origin(&rules.origins, &mut response);
    response
}

fn is_health_check(request: &Request) -> bool {
    let path = request.uri().path();
    matches!(*request.method(), Method::GET | Method::HEAD)
        && (path == "/healthz" || path == "/readyz" || path.starts_with("/readyz/"))
}

/// The host that a request names. `None` only for HTTP/1.0, in which `Host` is optional.
fn host_of(request: &Request) -> Result<Option<Authority>, Problem> {
    let invalid = |message| {
        Problem::with_field_error(
            ProblemCode::InvalidHttp,
            RequestPart::Header,
            "Host",
            message,
        )
    };
    let mut values = request.headers().get_all(HOST).iter();
    let text = match (values.next(), values.next()) {
        (None, _) if request.version() < Version::HTTP_11 => return Ok(None),
        (None, _) => return Err(invalid("is required in HTTP/1.1")),
        (Some(_), Some(_)) => return Err(invalid("must be a single header")),
        (Some(value), None) => match request.uri().authority() {
            // The target of the request has precedence (RFC 9112, section 3.2.2).
            Some(authority) => authority.as_str(),
            None => value.to_str().unwrap_or_default(),
        },
    };
    let host = Authority::parse(text);
    host.map(Some)
        .ok_or_else(|| invalid("must be a host name or an IP address, and may end with a port"))
}

fn foreign_host() -> Problem {
    let message = "is not a name of this gateway; FOREBAY_ALLOWED_HOSTS allows other names";
    Problem::with_field_error(
        ProblemCode::HostNotAllowed,
        RequestPart::Header,
        "Host",
        message,
    )
}

fn foreign_page(header: &'static str, can_allow_origins: bool) -> Problem {
    let message = if can_allow_origins {
        "names a web page of another origin; FOREBAY_ALLOWED_ORIGINS allows other origins"
    } else {
        "names a web page of another origin; the admin listener allows no other origins"
    };
    Problem::with_field_error(
        ProblemCode::OriginNotAllowed,
        RequestPart::Header,
        header,
        message,
    )
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderName, HeaderValue};

    use super::{AllowedHosts, AllowedOrigins, Authority, WebGuard};

    fn accepts(origins: Option<&str>, host: &str, headers: &[(&'static str, &str)]) -> bool {
        let origins = origins.map(|text| AllowedOrigins::parse(text).expect("valid origins"));
        let guard = WebGuard {
            hosts: AllowedHosts::default(),
            origins: origins.unwrap_or_default(),
            can_allow_origins: true,
            is_loopback_listener: false,
        };
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                let value = HeaderValue::from_str(value).expect("a valid value");
                (HeaderName::from_static(name), value)
            })
            .collect();
        let host = Authority::parse(host).expect("a valid host");
        guard.accept_host(&host, &headers)
    }

    /// A container listens on all addresses, even if only this machine can reach it.
    #[test]
    fn on_all_addresses_a_page_of_the_own_host_must_name_a_host_that_cannot_be_rebound() {
        let accepts_page = |allowed, host: &str| {
            let page = format!("http://{host}");
            accepts(allowed, host, &[("origin", &page)])
        };
        for host in ["evil.example:8080", "evil.example", "evil.example."] {
            assert!(!accepts_page(None, host), "{host}");
        }
        for host in ["127.0.0.1:8080", "10.0.0.7", "[fe80::1]", "localhost"] {
            assert!(accepts_page(None, host), "{host}");
        }
        let allowed = Some("https://forebay.example");
        assert!(accepts_page(allowed, "forebay.example"));
        assert!(!accepts_page(allowed, "evil.example"));
        assert!(accepts_page(Some("*"), "evil.example"));
        // A page of an allowed origin may call the gateway by any name.
        let page = ("origin", "https://app.example");
        assert!(accepts(Some("https://app.example"), "forebay", &[page]));
    }

    #[test]
    fn on_all_addresses_requests_without_the_origin_of_their_host_may_use_any_name() {
        for headers in [
            &[][..],
            &[("user-agent", "curl/8.5.0")],
            // PowerShell, monitors and WebViews name themselves as browsers do.
            &[(
                "user-agent",
                "Mozilla/5.0 (Windows NT 10.0) PowerShell/7.4.0",
            )],
            // The `fetch` of Node.js sends this header.
            &[("sec-fetch-mode", "cors")],
            // A browser sends this header only over TLS and to localhost.
            &[("sec-fetch-site", "same-origin")],
        ] {
            assert!(accepts(None, "forebay:8080", headers), "{headers:?}");
        }
    }
}
