//! Where the broker is: the URL, read and completed. Opens nothing.

use std::{fmt, path::Path, time::Duration};

use lapin::{
    tcp::OwnedTLSConfig,
    uri::{AMQPScheme, AMQPUri},
};
use url::{Host, Url};

use super::settings::ConfigError;

/// The broker is taken for dead after two of these without a sign of it. RabbitMQ's default of a
/// minute would leave a cut-off consumer unnoticed for two.
const HEARTBEAT_S: u16 = 5;

/// For the connection and its handshake, unless the URL says otherwise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A broker, and how to reach it. Prints without the password.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) uri: AMQPUri,
    pub(super) tls: OwnedTLSConfig,
    /// lapin reads `connection_timeout` from the URL and never looks at it when it connects
    /// asynchronously; and without one, a host that drops packets is given two minutes by the system.
    pub(super) connect_timeout: Duration,
}

impl Endpoint {
    pub(super) fn parse(url: &str, ca_file: Option<&Path>) -> Result<Self, ConfigError> {
        // Looked at first by ourselves, because some of lapin's errors repeat the URL, password and all.
        let parsed = Url::parse(url).map_err(|e| ConfigError::Url(e.to_string()))?;
        if !matches!(parsed.scheme(), "amqp" | "amqps") {
            return Err(ConfigError::Scheme(String::from(parsed.scheme())));
        }
        if parsed.host().is_none() {
            return Err(ConfigError::Url(String::from("it names no host")));
        }
        let mut uri: AMQPUri = url.parse().map_err(ConfigError::Url)?;
        if let Some(Host::Ipv6(address)) = parsed.host() {
            // lapin takes only names and puts `localhost` in the place of such an address.
            uri.authority.host = address.to_string();
        }
        if uri.vhost.is_empty() {
            // By the letter `amqp://host/` names a virtual host without a name. Nobody has one, and
            // everybody means the default.
            uri.vhost = String::from("/");
        }
        // Both ways to lose a connection without noticing are closed by default.
        let _given = uri.query.heartbeat.get_or_insert(HEARTBEAT_S);
        let connect_timeout = uri
            .query
            .connection_timeout
            .map_or(CONNECT_TIMEOUT, Duration::from_millis);
        let cert_chain = ca_file.map(read_certificates).transpose()?;
        Ok(Self {
            uri,
            tls: OwnedTLSConfig {
                identity: None,
                cert_chain,
            },
            connect_timeout,
        })
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.uri.scheme == AMQPScheme::AMQPS
    }
}

fn read_certificates(path: &Path) -> Result<String, ConfigError> {
    let pem = std::fs::read_to_string(path).map_err(|source| ConfigError::CaUnread {
        path: path.to_owned(),
        source,
    })?;
    if pem.contains("-----BEGIN CERTIFICATE-----") {
        Ok(pem)
    } else {
        Err(ConfigError::CaEmpty {
            path: path.to_owned(),
        })
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = &self.uri.authority;
        write!(
            f,
            "{}://{}:{} vhost {}",
            self.uri.scheme, authority.host, authority.port, self.uri.vhost
        )
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{ConfigError, Endpoint};

    fn parse(url: &str) -> Endpoint {
        Endpoint::parse(url, None).unwrap()
    }

    #[test]
    fn what_the_url_leaves_open_gets_tight_limits() {
        let endpoint = parse("amqp://guest:secret@broker:5673/%2f");
        assert_eq!(endpoint.uri.query.heartbeat, Some(5));
        assert_eq!(endpoint.connect_timeout, Duration::from_secs(5));
        assert_eq!(
            format!("{endpoint:?}"),
            "amqp://broker:5673 vhost /",
            "no password"
        );
        let endpoint = parse("amqp://broker?heartbeat=20&connection_timeout=900");
        assert_eq!(endpoint.uri.query.heartbeat, Some(20));
        assert_eq!(endpoint.connect_timeout, Duration::from_millis(900));
    }

    #[test]
    fn hosts_and_virtual_hosts_are_what_was_meant() {
        for (url, host, vhost) in [
            ("amqp://127.0.0.1", "127.0.0.1", "/"),
            ("amqp://[::1]:5672/", "::1", "/"),
            ("amqp://broker/jobs", "broker", "jobs"),
            ("amqps://broker/%2f", "broker", "/"),
        ] {
            let endpoint = parse(url);
            assert_eq!(endpoint.uri.authority.host, host, "{url}");
            assert_eq!(endpoint.uri.vhost, vhost, "{url}");
        }
        assert_eq!(parse("amqps://broker").uri.authority.port, 5671);
        assert!(parse("amqps://broker").is_encrypted());
    }

    #[test]
    fn a_wrong_url_is_named_and_never_repeated() {
        for url in [
            "",
            "broker",
            "amqp:guest:secret@broker",
            "amqp://guest:secret@broker:99999",
            "amqp://guest:secret@broker?heartbeat=secret",
            "redis://guest:secret@broker",
            "amqp://",
        ] {
            let error = Endpoint::parse(url, None).unwrap_err();
            let text = error.to_string();
            assert!(text.contains("AMQP_URL"), "{url}: {text}");
            assert!(!text.contains("secret"), "{url}: {text}");
        }
    }

    #[test]
    fn certificates_must_be_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let parse = || Endpoint::parse("amqps://broker", Some(&path));
        assert!(matches!(parse(), Err(ConfigError::CaUnread { .. })));
        std::fs::write(&path, "nothing").unwrap();
        assert!(matches!(parse(), Err(ConfigError::CaEmpty { .. })));
    }
}
