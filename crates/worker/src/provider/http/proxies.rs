//! Reads the proxy variables of the environment, and selects the proxy of each provider.
//!
//! A proxy that cannot be used is an error, because an operator who sets the variable expects that no call is made directly.
//! Providers that do not need the proxy are not affected.

use forebay_shared::secret::Secret;
use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::Proxy;

use super::endpoint::Endpoint;

/// The variables that name the proxy of `http:` providers. The first one that is set counts.
const HTTP_VARIABLES: [&str; 4] = ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
/// The variables that name the proxy of `https:` providers. The first one that is set counts.
const HTTPS_VARIABLES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
/// The variables that list the hosts that are reached directly. The first one that is set counts.
const EXEMPT_VARIABLES: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// The proxy variables of the environment. By default none is set, and every provider is reached directly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    http: Option<Variable>,
    https: Option<Variable>,
    exempt: Option<Variable>,
}

/// A variable that is set.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Variable {
    name: &'static str,
    /// May contain a password.
    value: Secret,
}

/// The proxy of one provider.
#[derive(Debug)]
pub(super) struct ProviderProxy {
    pub(super) proxy: Proxy,
    /// The proxy's host and port.
    pub(super) address: String,
    /// Whether the proxy itself is reached over TLS.
    pub(super) is_tls: bool,
}

/// A variable whose proxy cannot be used. Its value is not shown, because it may contain a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable} {fault}")]
pub struct ProxyError {
    variable: &'static str,
    fault: ProxyFault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum ProxyFault {
    #[error(
        "must be a URL such as http://proxy.example:3128; characters in a user name or password other than letters, digits, - . _ ~ must be percent-encoded"
    )]
    Unreadable,
    #[error("must be an http:// or https:// URL: other proxies, such as SOCKS, cannot be used")]
    Scheme,
    #[error("must have a port from 1 to 65535, or none")]
    Port,
}

impl Proxies {
    /// Reads the variables through `variable`. An empty variable counts as not set.
    #[must_use]
    pub fn read(variable: &dyn Fn(&str) -> Option<String>) -> Self {
        let first_set = |names: &[&'static str]| {
            names.iter().find_map(|name| {
                let value = Secret::new(&variable(name)?);
                (!value.is_empty()).then_some(Variable { name, value })
            })
        };
        Self {
            http: first_set(&HTTP_VARIABLES),
            https: first_set(&HTTPS_VARIABLES),
            exempt: first_set(&EXEMPT_VARIABLES),
        }
    }

    /// The proxy of a provider. `None` if the provider is reached directly. Every provider on this machine is reached directly.
    ///
    /// # Errors
    /// [`ProxyError`] when the provider needs a proxy that cannot be used.
    pub(super) fn of(&self, provider: &Endpoint) -> Result<Option<ProviderProxy>, ProxyError> {
        let variable = if provider.is_cleartext() {
            &self.http
        } else {
            &self.https
        };
        let Some(variable) = variable else {
            return Ok(None);
        };
        if provider.is_loopback() || self.is_exempt(&provider.to_uri()) {
            return Ok(None);
        }
        let proxy = ProviderProxy::parse(variable.value.expose());
        proxy.map(Some).map_err(|fault| ProxyError {
            variable: variable.name,
            fault,
        })
    }

    /// The variable that names the proxy of a provider. `None` if the provider is reached directly.
    pub(in crate::provider) fn variable_of(&self, provider: &Endpoint) -> Option<&'static str> {
        let is_proxied = !matches!(self.of(provider), Ok(None));
        let variable = if provider.is_cleartext() {
            &self.http
        } else {
            &self.https
        };
        variable
            .as_ref()
            .filter(|_| is_proxied)
            .map(|variable| variable.name)
    }

    /// Whether `NO_PROXY` lists the host of `target`.
    fn is_exempt(&self, target: &Uri) -> bool {
        let exempt = self
            .exempt
            .as_ref()
            .map_or("", |exempt| exempt.value.expose());
        // The matcher needs a proxy, but the result depends only on the list.
        let matcher = Matcher::builder().all("http://proxy.invalid").no(exempt);
        matcher.build().intercept(target).is_none()
    }
}

impl ProviderProxy {
    /// Reads a variable's value. A value without a scheme is read as an `http:` URL, as curl does.
    fn parse(text: &str) -> Result<Self, ProxyFault> {
        let url = match text.split_once("://") {
            Some((scheme, _))
                if ["http", "https"]
                    .iter()
                    .any(|allowed| scheme.eq_ignore_ascii_case(allowed)) =>
            {
                text.to_owned()
            }
            Some(_) => return Err(ProxyFault::Scheme),
            None => format!("http://{text}"),
        };
        let uri: Uri = url.parse().map_err(|_| ProxyFault::Unreadable)?;
        let authority = uri.authority().ok_or(ProxyFault::Unreadable)?;
        // A proxy has no path, query or fragment, and its user name has no `@`. So each of these is a part of a
        // password whose `/`, `?`, `#` or `@` was not encoded.
        let has_unencoded =
            !matches!(uri.path(), "" | "/") || uri.query().is_some() || url.contains('#');
        let address = match authority.as_str().split_once('@') {
            Some((_, address)) => address,
            None => authority.as_str(),
        };
        if has_unencoded || address.contains('@') || authority.host().is_empty() {
            return Err(ProxyFault::Unreadable);
        }
        let has_port = address.len() > authority.host().len();
        if has_port && authority.port_u16().is_none_or(|port| port == 0) {
            return Err(ProxyFault::Port);
        }
        Ok(Self {
            address: address.to_owned(),
            is_tls: uri.scheme_str() == Some("https"),
            proxy: Proxy::all(&url).map_err(|_| ProxyFault::Unreadable)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxy_of(
        variables: &[(&str, &str)],
        target: &'static str,
    ) -> Result<Option<String>, ProxyError> {
        let proxies = Proxies::read(&|name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        });
        let provider = Endpoint::parse(target).expect("the URL is valid");
        let proxy = proxies.of(&provider)?;
        Ok(proxy.map(|proxy| {
            let scheme = if proxy.is_tls { "https" } else { "http" };
            format!("{scheme}://{}/", proxy.address)
        }))
    }

    #[test]
    fn each_provider_has_the_proxy_of_its_scheme() {
        let tls = "https://llm.example/v1";
        let clear = "http://llm.example/v1";
        for (variables, target, expected) in [
            (&[][..], tls, None),
            (&[("HTTPS_PROXY", "http://a:1")], tls, Some("http://a:1/")),
            (&[("HTTPS_PROXY", "http://a:1")], clear, None),
            (&[("HTTP_PROXY", "http://a:1")], clear, Some("http://a:1/")),
            (&[("all_proxy", "https://a:1")], tls, Some("https://a:1/")),
            // Common spellings.
            (
                &[("HTTPS_PROXY", "a.corp:1")],
                tls,
                Some("http://a.corp:1/"),
            ),
            (
                &[("HTTPS_PROXY", "a.corp:1/")],
                tls,
                Some("http://a.corp:1/"),
            ),
            (
                &[("HTTPS_PROXY", " http://a:1\n")],
                tls,
                Some("http://a:1/"),
            ),
            (&[("HTTPS_PROXY", "HTTP://a")], tls, Some("http://a/")),
            (&[("HTTPS_PROXY", "[::1]:1")], tls, Some("http://[::1]:1/")),
            (
                &[("HTTPS_PROXY", "http://u:%7B@a:1")],
                tls,
                Some("http://a:1/"),
            ),
            // An empty variable counts as not set.
            (
                &[("HTTPS_PROXY", " "), ("https_proxy", "a:1")],
                tls,
                Some("http://a:1/"),
            ),
            (
                &[("HTTPS_PROXY", ""), ("ALL_PROXY", "a:1")],
                tls,
                Some("http://a:1/"),
            ),
        ] {
            let proxy = proxy_of(variables, target);
            let expected = expected.map(str::to_owned);
            assert_eq!(proxy, Ok(expected), "{variables:?} {target}");
        }
    }

    #[test]
    fn an_exempt_provider_is_reached_directly_even_if_the_proxy_is_unusable() {
        for (exempt, target) in [
            ("llm.example", "https://llm.example"),
            ("\n.example , x", "https://llm.example"),
            ("10.0.0.0/8", "https://10.1.2.3"),
            ("*", "https://llm.example"),
            // On this machine.
            ("x", "https://127.0.0.1:1"),
            ("x", "https://localhost"),
        ] {
            for proxy in ["http://a:1", "socks5://a:1"] {
                let variables = [
                    ("HTTPS_PROXY", proxy),
                    ("no_proxy", exempt),
                    ("NO_PROXY", ""),
                ];
                assert_eq!(proxy_of(&variables, target), Ok(None), "NO_PROXY={exempt}");
            }
        }
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_named_without_its_value() {
        for (value, fault) in [
            ("socks://a:1", ProxyFault::Scheme),
            ("socks5h://u:secret@a:1", ProxyFault::Scheme),
            ("a:99999", ProxyFault::Port),
            ("a:0", ProxyFault::Port),
            ("a:", ProxyFault::Port),
            ("http://u:se/cret@a:1", ProxyFault::Unreadable),
            ("http://u:1/secret@a:1", ProxyFault::Unreadable),
            ("http://u:1#secret@a:1", ProxyFault::Unreadable),
            ("http://u:secret{@a:1", ProxyFault::Unreadable),
            ("http://u:secret@x@a:1", ProxyFault::Unreadable),
            ("http://", ProxyFault::Unreadable),
            ("http://:1", ProxyFault::Unreadable),
            ("a b", ProxyFault::Unreadable),
            ("\u{fffd}", ProxyFault::Unreadable),
        ] {
            for variable in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"] {
                let error = proxy_of(&[(variable, value)], "https://llm.example");
                let error = error.expect_err(value);
                assert_eq!(
                    (error.variable, error.fault),
                    (variable, fault),
                    "value: {value}"
                );
                let shown = format!("{error} {error:?}");
                assert!(shown.starts_with(variable), "error: {shown}");
                assert!(!shown.contains("secret"), "error: {shown}");
            }
            // A provider of the other scheme does not need this proxy.
            let other = proxy_of(&[("HTTPS_PROXY", value)], "http://llm.example");
            assert_eq!(other, Ok(None), "value: {value}");
        }
    }
}
