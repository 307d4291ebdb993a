//! What a process is told about its broker, and what can be wrong with it.

use std::path::PathBuf;

/// How a process uses its broker; where that is comes apart from this, as the URL.
#[derive(Clone, Debug)]
pub struct QueueSettings {
    /// What the management UI shows this process as: in the names of its connections and in its
    /// consumer tags. 1 to 128 printable ASCII characters; the process's id serves well.
    pub name: String,
    /// What the names of all queues begin with: `forebay`, unless several installations share a
    /// virtual host. 1 to 128 characters from `A-Z a-z 0-9 . _ : @ -`.
    pub prefix: String,
    /// A PEM file with certificates to trust beside the system's, for `amqps`.
    pub ca_file: Option<PathBuf>,
}

impl QueueSettings {
    /// The usual settings for a process of this name.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            prefix: String::from("forebay"),
            ca_file: None,
        }
    }

    /// AMQP cuts no name that is too long, it refuses it, and far from here.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let printable = self.name.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
        if !(1..=128).contains(&self.name.len()) || !printable {
            return Err(ConfigError::Name);
        }
        let named = |b: u8| b.is_ascii_alphanumeric() || b"._:@-".contains(&b);
        // `amq.` is the broker's own.
        if !(1..=128).contains(&self.prefix.len())
            || !self.prefix.bytes().all(named)
            || self.prefix.starts_with("amq")
        {
            return Err(ConfigError::Prefix);
        }
        Ok(())
    }
}

/// Settings that cannot work. No message repeats the URL: it may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The URL is none, or none of a broker.
    #[error("AMQP_URL must have the form amqp://user:password@host:5672/vhost: {0}")]
    Url(String),
    /// It asks for something else than AMQP.
    #[error("AMQP_URL must begin with amqp:// or amqps://, not {0}://")]
    Scheme(String),
    /// The certificates could not be read.
    #[error("AMQP_CA_FILE cannot be used: the certificates in {path} cannot be read")]
    CaUnread {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// There are none in it.
    #[error("AMQP_CA_FILE cannot be used: {path} holds no certificate in PEM form")]
    CaEmpty {
        /// The file.
        path: PathBuf,
    },
    /// The process's name cannot be shown.
    #[error("the process's name for the broker must be 1 to 128 printable ASCII characters")]
    Name,
    /// Queues cannot be named so.
    #[error(
        "the prefix of the queues must be 1 to 128 characters from A-Z a-z 0-9 . _ : @ - and not begin with amq"
    )]
    Prefix,
}

#[cfg(test)]
mod tests {
    use super::{ConfigError, QueueSettings};

    #[test]
    fn names_that_the_broker_would_refuse_are_refused_here() {
        assert!(QueueSettings::named("worker-1").check().is_ok());
        for name in ["", "a\nb", "é", &"x".repeat(129)] {
            let error = QueueSettings::named(name).check().unwrap_err();
            assert!(matches!(error, ConfigError::Name), "{name:?}");
        }
        for prefix in ["", "amq.mine", "a b", &"x".repeat(129)] {
            let mut settings = QueueSettings::named("worker-1");
            settings.prefix = String::from(prefix);
            let error = settings.check().unwrap_err();
            assert!(matches!(error, ConfigError::Prefix), "{prefix:?}");
        }
    }
}
