//! Which web pages may use the API: those of the gateway's own origin (RFC 6454), and those that are configured.

use axum::http::{HeaderMap, HeaderName, header::ORIGIN};

use super::authority::Authority;

/// The header in which a browser describes the relation between a request's target and the page that makes the request
/// (W3C Fetch Metadata).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The origins of web pages that may use the API. By default there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedOrigins {
    /// Whether any origin is allowed.
    any: bool,
    origins: Vec<Origin>,
}

/// An origin: a scheme, a host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    /// In lower case.
    scheme: String,
    host: String,
    /// The default port of the scheme if the text names none; `None` if the scheme has none.
    port: Option<u16>,
}

/// Where a request comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RequestSource {
    /// A program, or a web page of the gateway's own origin.
    Own,
    /// A web page of an allowed origin.
    AllowedOrigin,
    /// Another web page. The header of this name shows it.
    Foreign(&'static str),
}

impl AllowedOrigins {
    /// Parses origins such as `https://app.example.com`, separated by commas, or `*` for any origin.
    ///
    /// # Errors
    /// The element that is not an origin.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut origins = Self::default();
        for element in text.split(',').map(str::trim) {
            if element == "*" {
                origins.any = true;
                continue;
            }
            origins.origins.push(Origin::parse(element).ok_or_else(|| {
                format!("{element:?} is not an origin such as https://app.example.com, or *")
            })?);
        }
        Ok(origins)
    }

    /// Whether any origin is allowed.
    pub(super) const fn is_any(&self) -> bool {
        self.any
    }

    /// Whether no origin is allowed.
    pub(super) fn is_empty(&self) -> bool {
        !self.any && self.origins.is_empty()
    }

    /// Where a request to this host comes from.
    pub(super) fn source(&self, headers: &HeaderMap, host: Option<&Authority>) -> RequestSource {
        let mut origins = headers.get_all(ORIGIN).iter();
        if let Some(origin) = origins.next() {
            let origin = Origin::parse(origin.to_str().unwrap_or_default());
            let is_allowed = |origin: &Origin| self.origins.contains(origin);
            if self.any || origin.as_ref().is_some_and(is_allowed) {
                return RequestSource::AllowedOrigin;
            }
            let is_own = match (origin, host) {
                (Some(origin), Some(host)) => origin.has_authority(host),
                _ => false,
            };
            if !is_own || origins.next().is_some() {
                return RequestSource::Foreign("Origin");
            }
        }
        let is_foreign = |value: &[u8]| !matches!(value, b"same-origin" | b"none");
        let mut relations = headers.get_all(SEC_FETCH_SITE).iter();
        if !self.any && relations.any(|value| is_foreign(value.as_bytes())) {
            return RequestSource::Foreign("Sec-Fetch-Site");
        }
        RequestSource::Own
    }

    /// Whether the request's `Origin` is that of a page which the host itself served. After DNS rebinding, pages of the foreign
    /// site send such an `Origin` too.
    pub(super) fn is_own_page(&self, headers: &HeaderMap, host: &Authority) -> bool {
        headers.contains_key(ORIGIN) && self.source(headers, Some(host)) == RequestSource::Own
    }

    /// Whether an allowed origin has this host.
    pub(super) fn have_host(&self, host: &Authority) -> bool {
        self.any || self.origins.iter().any(|origin| origin.host == host.host)
    }
}

impl Origin {
    /// Parses an origin. `None` for other text, such as `null` or a URL with a path.
    fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        let Authority { host, port } = Authority::parse(authority)?;
        let scheme = scheme.to_ascii_lowercase();
        let port = port.or_else(|| default_port(&scheme));
        is_scheme.then_some(Self { scheme, host, port })
    }

    /// Whether the origin has this host and port. The scheme is not compared, because a proxy may serve the API over TLS.
    fn has_authority(&self, host: &Authority) -> bool {
        let Some(default_port) = default_port(&self.scheme) else {
            return false;
        };
        self.host == host.host && self.port == Some(host.port.unwrap_or(default_port))
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderMap, HeaderValue};

    use super::{AllowedOrigins, Authority, RequestSource};

    fn source(
        allowed: Option<&str>,
        host: &str,
        headers: &[(&'static str, &str)],
    ) -> RequestSource {
        let allowed =
            allowed.map(|text| AllowedOrigins::parse(text).expect("the origins are valid"));
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let value = HeaderValue::from_str(value).expect("the value is valid");
            map.append(*name, value);
        }
        let host = Authority::parse(host);
        allowed.unwrap_or_default().source(&map, host.as_ref())
    }

    #[test]
    fn programs_and_pages_of_the_gateway_may_use_the_api() {
        for headers in [
            &[][..],
            &[("origin", "http://localhost:8080")],
            &[
                ("origin", "http://LOCALHOST:8080"),
                ("sec-fetch-site", "same-origin"),
            ],
            &[("sec-fetch-site", "none")],
        ] {
            assert_eq!(source(None, "localhost:8080", headers), RequestSource::Own);
        }
        // A proxy serves the API over TLS on the default port.
        let headers = [("origin", "https://forebay.example")];
        assert_eq!(
            source(None, "forebay.example", &headers),
            RequestSource::Own
        );
        assert_eq!(
            source(None, "forebay.example:443", &headers),
            RequestSource::Own
        );
    }

    #[test]
    fn pages_of_other_sites_may_not_use_the_api() {
        for (header, value) in [
            ("origin", "https://evil.example"),
            ("origin", "http://localhost:3000"),
            ("origin", "http://localhost"),
            ("origin", "null"),
            ("origin", ""),
            ("origin", "localhost:8080"),
            ("origin", "file://localhost:8080"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
            ("sec-fetch-site", "x"),
        ] {
            let name = if header == "origin" {
                "Origin"
            } else {
                "Sec-Fetch-Site"
            };
            let found = source(None, "localhost:8080", &[(header, value)]);
            assert_eq!(found, RequestSource::Foreign(name), "{header}: {value}");
        }
        let two = [
            ("origin", "http://localhost:8080"),
            ("origin", "https://evil.example"),
        ];
        assert_eq!(
            source(None, "localhost:8080", &two),
            RequestSource::Foreign("Origin")
        );
    }

    #[test]
    fn pages_of_allowed_origins_may_use_the_api() {
        let cross_site = |origin| [("origin", origin), ("sec-fetch-site", "cross-site")];
        let list = Some("https://app.example, http://LOCALHOST:3000");
        for origin in ["https://app.example", "http://localhost:3000"] {
            let found = source(list, "localhost:8080", &cross_site(origin));
            assert_eq!(found, RequestSource::AllowedOrigin, "{origin}");
        }
        // A list may name default ports, and write an IPv6 address in any form.
        for (list, origin) in [
            ("https://app.example:443", "https://app.example"),
            ("http://app.example:80", "http://app.example"),
            ("http://[0:0::1]:3000", "http://[::1]:3000"),
        ] {
            let found = source(Some(list), "localhost:8080", &cross_site(origin));
            assert_eq!(found, RequestSource::AllowedOrigin, "{origin}");
        }
        for origin in ["http://app.example", "https://app.example:80"] {
            let found = source(list, "localhost:8080", &cross_site(origin));
            assert_eq!(found, RequestSource::Foreign("Origin"), "{origin}");
        }
        let other = source(list, "localhost:8080", &cross_site("https://evil.example"));
        assert_eq!(other, RequestSource::Foreign("Origin"));
        let any = source(Some("*"), "localhost:8080", &cross_site("null"));
        assert_eq!(any, RequestSource::AllowedOrigin);
        let navigation = source(
            Some("*"),
            "localhost:8080",
            &[("sec-fetch-site", "cross-site")],
        );
        assert_eq!(navigation, RequestSource::Own);
    }

    #[test]
    fn a_setting_that_is_not_a_list_of_origins_is_refused() {
        for text in [
            "",
            "app.example",
            "https://",
            "https://a/",
            "https://a,",
            "null",
            "https://a/b",
        ] {
            assert!(AllowedOrigins::parse(text).is_err(), "{text}");
        }
    }
}
