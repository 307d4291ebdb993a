//! The host and port of a `Host` header or of an origin.

use std::net::{IpAddr, Ipv6Addr};

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Authority {
    /// In lower case, without a dot at its end. An IPv6 address has no brackets.
    pub(super) host: String,
    /// `None` if the text names no port.
    pub(super) port: Option<u16>,
}

impl Authority {
    /// Parses `host` or `host:port`. `None` for any other text.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, port) = rest.split_once(']')?;
                (address.parse::<Ipv6Addr>().ok()?.to_string(), port)
            }
            None => {
                let end = text.find(':').unwrap_or(text.len());
                (host_name(&text[..end])?, &text[end..])
            }
        };
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => None,
            None => return None,
            // An empty port means the default port (RFC 3986, section 3.2.3).
            Some("") => None,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(digits.parse().ok()?)
            }
            Some(_) => return None,
        };
        Some(Self { host, port })
    }

    /// Whether the host is this machine: `localhost`, a name below it, or a loopback address.
    pub(super) fn is_loopback(&self) -> bool {
        self.host == "localhost"
            || self.host.ends_with(".localhost")
            || self.ip().is_some_and(|address| address.is_loopback())
    }

    /// The address, if the host is one. An IPv4 address that is written as an IPv6 address is returned as IPv4.
    pub(super) fn ip(&self) -> Option<IpAddr> {
        let address: IpAddr = self.host.parse().ok()?;
        Some(address.to_canonical())
    }
}

/// The name in its usual form. `None` if it has characters that no name or IPv4 address has.
pub(super) fn host_name(text: &str) -> Option<String> {
    let name = text.strip_suffix('.').unwrap_or(text);
    let is_valid = !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
    is_valid.then(|| name.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::Authority;

    #[test]
    fn hosts_and_ports_are_parsed() {
        for (text, host, port) in [
            ("localhost", "localhost", None),
            ("LocalHost.:8080", "localhost", Some(8080)),
            ("127.0.0.1:1", "127.0.0.1", Some(1)),
            ("[::1]:8080", "::1", Some(8080)),
            ("[0:0::1]", "::1", None),
            ("example.com:", "example.com", None),
        ] {
            let expected = Authority {
                host: host.to_owned(),
                port,
            };
            assert_eq!(Authority::parse(text), Some(expected), "{text}");
        }
        for text in [
            "", ".", ":80", "a b", "a/b", "user@a", "a:x", "a:+1", "a:70000", "[::1", "[::1]x",
            "::1", "é",
        ] {
            assert_eq!(Authority::parse(text), None, "{text}");
        }
    }

    #[test]
    fn names_of_this_machine_are_loopback() {
        let is_loopback = |text| Authority::parse(text).is_some_and(|host| host.is_loopback());
        for text in [
            "localhost",
            "a.localhost:1",
            "127.9.9.9",
            "[::1]",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(is_loopback(text), "{text}");
        }
        for text in [
            "localhost.example.com",
            "notlocalhost",
            "128.0.0.1",
            "[::2]",
            "0.0.0.0",
        ] {
            assert!(!is_loopback(text), "{text}");
        }
    }
}
