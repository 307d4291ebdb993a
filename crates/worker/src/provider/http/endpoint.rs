//! The base URL of a provider, checked before any port is opened.

use std::net::IpAddr;

use url::{Host, Url};

/// The longest base URL, in bytes. The HTTP library limits the URI of a request, which also contains the model's name.
const URL_BYTES_MAX: usize = 8 * 1_024;

/// A base URL that requests can be sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(Url);

/// Why a text is not accepted as a base URL, and what is allowed. The caller adds the setting's name. The text itself is not
/// shown, because it may contain a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// The text is not a URL.
    #[error("must be a URL such as https://api.openai.com/v1 ({0})")]
    Unreadable(url::ParseError),
    /// The scheme is neither `https` nor `http`.
    #[error("must begin with https:// or http://")]
    Scheme,
    /// The URL contains a user name or a password.
    #[error("must not hold a user name or a password: keys have settings of their own")]
    UserInfo,
    /// The URL is too long, or its host or query has a character that no URI can have.
    #[error(
        "must be a URI of at most {URL_BYTES_MAX} bytes: characters such as {{ }} \" or ` cannot be in it; was a template left unfilled?"
    )]
    NotUri,
    /// The URL has a fragment, which is never sent.
    #[error("must not have a fragment (#…)")]
    Fragment,
}

impl Endpoint {
    /// Reads a base URL. Its query is sent with every request, because some services expect the API's version there.
    ///
    /// # Errors
    /// [`EndpointError`], with what is allowed.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let url = Url::parse(text.trim()).map_err(EndpointError::Unreadable)?;
        if !matches!(url.scheme(), "https" | "http") || url.host().is_none() {
            return Err(EndpointError::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(EndpointError::UserInfo);
        }
        if url.fragment().is_some() {
            return Err(EndpointError::Fragment);
        }
        // A URL (WHATWG) may have characters that a URI (RFC 3986) cannot have.
        if url.as_str().len() > URL_BYTES_MAX || url.as_str().parse::<http::Uri>().is_err() {
            return Err(EndpointError::NotUri);
        }
        Ok(Self(url))
    }

    /// The URL with path segments added. Each segment is percent-encoded, so that a name with `/`, `?` or `#` stays one segment.
    #[must_use]
    pub fn with_segments(&self, segments: &[&str]) -> Url {
        let mut url = self.0.clone();
        // Never fails: `parse` accepts http and https only, whose URLs all have a path.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// The base URL as a URI.
    ///
    /// # Panics
    /// Never: [`parse`](Self::parse) accepts only a URL that is a URI (RFC 3986).
    #[must_use]
    pub fn to_uri(&self) -> http::Uri {
        let uri = self.0.as_str().parse();
        uri.expect("`parse` has checked that the URL is a URI")
    }

    /// The base URL without its query, which may hold a key.
    #[must_use]
    pub fn without_query(&self) -> String {
        let mut url = self.0.clone();
        url.set_query(None);
        url.to_string()
    }

    /// The name or address of the host.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// The port, also if it is the usual port of the scheme.
    #[must_use]
    pub fn port(&self) -> u16 {
        // `parse` accepts http and https only, whose ports are known.
        self.0.port_or_known_default().unwrap_or_default()
    }

    /// Whether the host is this machine.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self.0.host() {
            Some(Host::Ipv4(ip)) => IpAddr::V4(ip).is_loopback(),
            Some(Host::Ipv6(ip)) => IpAddr::V6(ip).is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        }
    }

    /// Whether requests are sent without TLS.
    #[must_use]
    pub fn is_cleartext(&self) -> bool {
        self.0.scheme() == "http"
    }
}

#[cfg(test)]
mod tests {
    use super::{Endpoint, EndpointError};

    #[test]
    fn segments_are_added_with_and_without_a_slash_at_the_end_of_the_base_url() {
        for base in ["https://api.example.com/v1", "https://api.example.com/v1/"] {
            let endpoint = Endpoint::parse(base).expect("the URL is valid");
            assert_eq!(
                endpoint.with_segments(&["chat", "completions"]).as_str(),
                "https://api.example.com/v1/chat/completions"
            );
        }
    }

    #[test]
    fn the_query_of_a_base_url_is_sent_and_not_shown() {
        let endpoint =
            Endpoint::parse("https://x.example/d/m?api-version=3").expect("the URL is valid");
        assert_eq!(endpoint.without_query(), "https://x.example/d/m");
        assert_eq!(
            endpoint.with_segments(&["chat"]).as_str(),
            "https://x.example/d/m/chat?api-version=3"
        );
    }

    #[test]
    fn the_name_of_a_model_stays_one_path_segment() {
        let endpoint = Endpoint::parse("https://x.example/v1beta").expect("the URL is valid");
        assert_eq!(
            endpoint
                .with_segments(&["models", "../../evil?key=1#x:generateContent"])
                .as_str(),
            "https://x.example/v1beta/models/..%2F..%2Fevil%3Fkey=1%23x:generateContent"
        );
    }

    #[test]
    fn a_url_that_cannot_be_a_base_url_is_refused() {
        for (text, error) in [
            ("ftp://x.example", EndpointError::Scheme),
            ("file:///etc", EndpointError::Scheme),
            ("https://me:secret@x.example", EndpointError::UserInfo),
            ("https://x.example/#a", EndpointError::Fragment),
        ] {
            assert_eq!(Endpoint::parse(text), Err(error), "text: {text}");
        }
        assert!(matches!(
            Endpoint::parse("api.openai.com/v1"),
            Err(EndpointError::Unreadable(_))
        ));
    }

    #[test]
    fn a_template_with_unfilled_parts_is_refused() {
        for text in [
            "https://{resource}.openai.azure.com/v1",
            "https://x\"y.example",
            "https://`host`/v1",
            &format!("https://x.example/{}", "y".repeat(9_000)),
        ] {
            assert_eq!(
                Endpoint::parse(text),
                Err(EndpointError::NotUri),
                "text: {text}"
            );
        }
        let error = EndpointError::NotUri.to_string();
        assert!(
            error.contains("{ }") && error.contains("8192"),
            "error: {error}"
        );
        // In a path such characters are encoded.
        for text in ["https://x.example/{a}\"`", "https://x.example/a?b={c}\"`|^"] {
            let url = Endpoint::parse(text)
                .expect("the URL is valid")
                .with_segments(&["{m}`"]);
            assert!(url.as_str().parse::<http::Uri>().is_ok(), "URL: {url}");
        }
    }

    #[test]
    fn loopback_addresses_are_recognised() {
        for (text, loopback) in [
            ("http://127.0.0.1:1/v1", true),
            ("http://[::1]:1/v1", true),
            ("http://localhost:11434/v1", true),
            ("https://api.openai.com/v1", false),
        ] {
            assert_eq!(
                Endpoint::parse(text)
                    .expect("the URL is valid")
                    .is_loopback(),
                loopback,
                "text: {text}"
            );
        }
    }
}
