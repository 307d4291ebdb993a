//! Parses the broker's URL and sets the defaults. `connection` connects to the result.

use std::{fmt, path::Path, time::Duration};

use lapin::{
    tcp::OwnedTLSConfig,
    uri::{AMQPScheme, AMQPUri},
};
use url::{Host, Url};

use super::settings::QueueSettingsError;

/// The heartbeat interval, unless the URL sets one. A connection counts as lost after two intervals without data.
/// With RabbitMQ's default of 60 seconds, a lost consumer would be noticed only after two minutes.
const HEARTBEAT_S: u16 = 5;

/// The largest frame, unless the URL sets another. lapin has two buffers of 32 frames for each connection, all of which it uses in turn:
/// 8 MiB with RabbitMQ's default of 131,072 bytes. A larger message has several frames. RabbitMQ from 4.1 on refuses less than 8,192.
const FRAME_MAX_BYTES: u32 = 16_384;

/// The timeout of the connection and its handshake, unless the URL sets one.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The address of a broker. Its `Debug` form has no password.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) uri: AMQPUri,
    pub(super) tls: OwnedTLSConfig,
    /// The timeout of the connection and its handshake. The caller must apply this timeout, because lapin ignores the URL's
    /// `connection_timeout` when it connects asynchronously. Without a timeout, the system waits two minutes for a host
    /// that drops packets.
    pub(super) connect_timeout: Duration,
}

impl Endpoint {
    pub(super) fn parse(url: &str, ca_file: Option<&Path>) -> Result<Self, QueueSettingsError> {
        // Parsed here first, because some of lapin's errors repeat the URL with its password.
        let parsed = Url::parse(url).map_err(|error| QueueSettingsError::Url(error.to_string()))?;
        if !matches!(parsed.scheme(), "amqp" | "amqps") {
            return Err(QueueSettingsError::Scheme(String::from(parsed.scheme())));
        }
        if parsed.host().is_none() {
            return Err(QueueSettingsError::Url(String::from("it has no host")));
        }
        let mut uri: AMQPUri = url.parse().map_err(QueueSettingsError::Url)?;
        if let Some(Host::Ipv6(address)) = parsed.host() {
            // lapin replaces an IPv6 address with `localhost`.
            uri.authority.host = address.to_string();
        }
        if uri.vhost.is_empty() {
            // By the AMQP URI specification, `amqp://host/` names a virtual host with an empty name. Operators
            // mean the default virtual host.
            uri.vhost = String::from("/");
        }
        let _heartbeat_s = uri.query.heartbeat.get_or_insert(HEARTBEAT_S);
        let _frame_max_bytes = uri.query.frame_max.get_or_insert(FRAME_MAX_BYTES);
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

fn read_certificates(path: &Path) -> Result<String, QueueSettingsError> {
    let pem =
        std::fs::read_to_string(path).map_err(|source| QueueSettingsError::CaFileUnreadable {
            path: path.to_owned(),
            source,
        })?;
    if pem.contains("-----BEGIN CERTIFICATE-----") {
        Ok(pem)
    } else {
        Err(QueueSettingsError::CaFileEmpty {
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

    use super::{Endpoint, QueueSettingsError};

    fn parse(url: &str) -> Endpoint {
        Endpoint::parse(url, None).unwrap()
    }

    #[test]
    fn missing_timeouts_have_short_defaults() {
        let endpoint = parse("amqp://guest:secret@broker:5673/%2f");
        assert_eq!(endpoint.uri.query.heartbeat, Some(5));
        assert_eq!(endpoint.uri.query.frame_max, Some(16_384));
        assert_eq!(endpoint.connect_timeout, Duration::from_secs(5));
        assert_eq!(
            format!("{endpoint:?}"),
            "amqp://broker:5673 vhost /",
            "no password"
        );
        let endpoint = parse("amqp://broker?heartbeat=20&connection_timeout=900&frame_max=8192");
        assert_eq!(endpoint.uri.query.heartbeat, Some(20));
        assert_eq!(endpoint.uri.query.frame_max, Some(8_192));
        assert_eq!(endpoint.connect_timeout, Duration::from_millis(900));
    }

    #[test]
    fn parses_hosts_and_virtual_hosts() {
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
    fn errors_name_the_setting_and_never_repeat_the_url() {
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
    fn the_ca_file_must_contain_a_certificate() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let parse = || Endpoint::parse("amqps://broker", Some(&path));
        assert!(matches!(
            parse(),
            Err(QueueSettingsError::CaFileUnreadable { .. })
        ));
        std::fs::write(&path, "nothing").unwrap();
        assert!(matches!(
            parse(),
            Err(QueueSettingsError::CaFileEmpty { .. })
        ));
    }
}
