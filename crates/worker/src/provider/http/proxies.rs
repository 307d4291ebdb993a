//! The proxies that the environment names, and which of them a provider is reached through.
//!
//! A variable that cannot be used is an error, never passed over: whoever sets one relies on it that calls do not go
//! out directly. It matters only to a provider that it applies to.

use forebay_shared::secret::Secret;
use http::{Uri, uri::Scheme};
use hyper_util::client::proxy::matcher::Matcher;

/// Where the proxy of calls to `http:` and to `https:` providers is looked for, in this order.
const HTTP: [&str; 4] = ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
const HTTPS: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
/// Who is reached without one.
const NONE: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// The variables of the environment that are about proxies. Without any, which is the default, every provider is
/// reached directly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies {
    http: Option<Variable>,
    https: Option<Variable>,
    none: Option<Variable>,
}

/// A variable and what it is set to, which may hold a password.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Variable {
    name: &'static str,
    value: Secret,
}

/// A variable that names no proxy that can be used. Its value is not repeated, as it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{variable} {fault}")]
pub struct ProxyError {
    variable: &'static str,
    fault: Fault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error(
        "must be a URL such as http://proxy.example:3128; characters in a user name or password other than letters, digits, - . _ ~ must be percent-encoded"
    )]
    Unreadable,
    #[error("must be an http:// or https:// URL: other proxies, SOCKS among them, cannot be used")]
    Scheme,
    #[error("must have a port from 1 to 65535, or none")]
    Port,
}

impl Proxies {
    /// Takes the variables from wherever `variable` looks them up. One that is empty is not set.
    #[must_use]
    pub fn read(variable: &dyn Fn(&str) -> Option<String>) -> Self {
        let first = |names: &[&'static str]| {
            names.iter().find_map(|name| {
                let value = Secret::new(&variable(name)?);
                (!value.is_empty()).then_some(Variable { name, value })
            })
        };
        Self {
            http: first(&HTTP),
            https: first(&HTTPS),
            none: first(&NONE),
        }
    }

    /// The rules for calls to `target`.
    ///
    /// # Errors
    /// [`ProxyError`] when a proxy applies to it and cannot be used.
    pub(super) fn matcher(&self, target: &Uri) -> Result<Matcher, ProxyError> {
        let none = self.none.as_ref().map_or("", |none| none.value.expose());
        let is_tls = target.scheme() == Some(&Scheme::HTTPS);
        let proxy = if is_tls { &self.https } else { &self.http };
        // Asked with a proxy that is sure to be readable, for who is exempt has nothing to do with what is not.
        let exempt = Matcher::builder().all("http://proxy.invalid").no(none);
        let is_exempt = exempt.build().intercept(target).is_none();
        let Some(proxy) = proxy.as_ref().filter(|_| !is_exempt) else {
            return Ok(Matcher::builder().build());
        };
        let wrong = |fault| ProxyError {
            variable: proxy.name,
            fault,
        };
        let url = url(proxy.value.expose()).map_err(wrong)?;
        let matcher = Matcher::builder().all(url).build();
        match matcher.intercept(target) {
            Some(_) => Ok(matcher),
            None => Err(wrong(Fault::Unreadable)),
        }
    }
}

/// What a variable says as a URL that is read everywhere in the same way. Without a scheme it is `http:`, as curl
/// has it.
fn url(text: &str) -> Result<String, Fault> {
    let url = match text.split_once("://") {
        Some((scheme, _))
            if ["http", "https"]
                .iter()
                .any(|s| scheme.eq_ignore_ascii_case(s)) =>
        {
            text.to_owned()
        }
        Some(_) => return Err(Fault::Scheme),
        None => format!("http://{text}"),
    };
    let uri: Uri = url.parse().map_err(|_| Fault::Unreadable)?;
    let authority = uri.authority().ok_or(Fault::Unreadable)?;
    // What stands behind the host means nothing to a proxy, so it may be the rest of a password that has a `/`,
    // `?` or `#` in it; so may what stands before a second `@`.
    let is_whole = matches!(uri.path(), "" | "/") && uri.query().is_none() && !url.contains('#');
    let host = match authority.as_str().split_once('@') {
        Some((_, host)) => host,
        None => authority.as_str(),
    };
    if !is_whole || host.contains('@') || authority.host().is_empty() {
        return Err(Fault::Unreadable);
    }
    let has_port = host.len() > authority.host().len();
    if has_port && authority.port_u16().is_none_or(|port| port == 0) {
        return Err(Fault::Port);
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(
        variables: &[(&str, &str)],
        target: &'static str,
    ) -> Result<Option<String>, ProxyError> {
        let proxies = Proxies::read(&|name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        });
        let target = Uri::from_static(target);
        let proxy = proxies.matcher(&target)?.intercept(&target);
        Ok(proxy.map(|proxy| proxy.uri().to_string()))
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
            // As people write them.
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
            // What is empty is not set.
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
            let proxy = through(variables, target);
            let expected = expected.map(str::to_owned);
            assert_eq!(proxy, Ok(expected), "{variables:?} {target}");
        }
    }

    #[test]
    fn who_is_exempt_is_reached_directly_whatever_the_proxy() {
        for (none, target) in [
            ("llm.example", "https://llm.example"),
            ("\n.example , x", "https://llm.example"),
            ("10.0.0.0/8", "https://10.1.2.3"),
            ("*", "https://llm.example"),
        ] {
            for proxy in ["http://a:1", "socks5://a:1"] {
                let variables = [("HTTPS_PROXY", proxy), ("no_proxy", none), ("NO_PROXY", "")];
                assert_eq!(through(&variables, target), Ok(None), "{none}");
            }
        }
    }

    #[test]
    fn what_cannot_be_used_is_named_and_not_repeated() {
        for (value, fault) in [
            ("socks://a:1", Fault::Scheme),
            ("socks5h://u:secret@a:1", Fault::Scheme),
            ("a:99999", Fault::Port),
            ("a:0", Fault::Port),
            ("a:", Fault::Port),
            ("http://u:se/cret@a:1", Fault::Unreadable),
            ("http://u:1/secret@a:1", Fault::Unreadable),
            ("http://u:1#secret@a:1", Fault::Unreadable),
            ("http://u:secret{@a:1", Fault::Unreadable),
            ("http://u:secret@x@a:1", Fault::Unreadable),
            ("http://", Fault::Unreadable),
            ("http://:1", Fault::Unreadable),
            ("a b", Fault::Unreadable),
            ("\u{fffd}", Fault::Unreadable),
        ] {
            for variable in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"] {
                let error = through(&[(variable, value)], "https://llm.example");
                let error = error.expect_err(value);
                assert_eq!((error.variable, error.fault), (variable, fault), "{value}");
                let shown = format!("{error} {error:?}");
                assert!(shown.starts_with(variable), "{shown}");
                assert!(!shown.contains("secret"), "{shown}");
            }
            // It is nothing to a provider that it does not apply to.
            let other = through(&[("HTTPS_PROXY", value)], "http://llm.example");
            assert_eq!(other, Ok(None), "{value}");
        }
    }
}
