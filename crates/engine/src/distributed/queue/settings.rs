//! The settings of the queue in RabbitMQ, and the errors for settings that cannot work. The broker's URL is
//! passed separately, because it may contain a password.

use std::path::PathBuf;

/// The names that a process uses in RabbitMQ, and the certificates that it trusts.
#[derive(Clone, Debug)]
pub struct QueueSettings {
    /// The name of this process in the management UI: part of its connection names and consumer tags.
    /// 1 to 128 printable ASCII characters, usually the process's id.
    pub process_name: String,
    /// The prefix of all queue names: `forebay`, unless several installations share a virtual host.
    /// 1 to 128 characters from `A-Z a-z 0-9 . _ : @ -`. It must not begin with `amq`.
    pub prefix: String,
    /// A PEM file with certificates to trust in addition to the system's, for `amqps`.
    pub ca_file: Option<PathBuf>,
}

impl QueueSettings {
    /// The default settings for a process of this name.
    #[must_use]
    pub fn new(process_name: impl Into<String>) -> Self {
        Self {
            process_name: process_name.into(),
            prefix: String::from("forebay"),
            ca_file: None,
        }
    }

    /// Checks the names. The broker would refuse an invalid name only later, when it is used.
    pub(super) fn check(&self) -> Result<(), QueueSettingsError> {
        let name = &self.process_name;
        let is_printable = name.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
        if !(1..=128).contains(&name.len()) || !is_printable {
            return Err(QueueSettingsError::ProcessName);
        }
        let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"._:@-".contains(&b);
        // RabbitMQ reserves names that begin with `amq.`. A dot follows the prefix in the name of each queue, so the prefix `amq` would
        // give such names too. This check is simpler and stricter: it refuses each prefix that begins with `amq`.
        if !(1..=128).contains(&self.prefix.len())
            || !self.prefix.bytes().all(is_allowed)
            || self.prefix.starts_with("amq")
        {
            return Err(QueueSettingsError::Prefix);
        }
        Ok(())
    }
}

/// Settings that cannot work. No message repeats the URL, because it may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum QueueSettingsError {
    /// The URL cannot be parsed or has no host.
    #[error("AMQP_URL must have the form amqp://user:password@host:5672/vhost: {0}")]
    Url(String),
    /// The URL's scheme is neither amqp nor amqps.
    #[error("AMQP_URL must begin with amqp:// or amqps://, not {0}://")]
    Scheme(String),
    /// The file with certificates cannot be read.
    #[error("AMQP_CA_FILE cannot be used: cannot read {path}")]
    CaFileUnreadable {
        /// The path from the settings.
        path: PathBuf,
        /// The error from the file system.
        #[source]
        source: std::io::Error,
    },
    /// The file contains no certificate.
    #[error("AMQP_CA_FILE cannot be used: {path} contains no certificate in PEM form")]
    CaFileEmpty {
        /// The path from the settings.
        path: PathBuf,
    },
    /// The process name is empty, too long or not printable.
    #[error("the process's name for RabbitMQ must be 1 to 128 printable ASCII characters")]
    ProcessName,
    /// The prefix cannot start the name of a queue.
    #[error(
        "the prefix of the queue names must be 1 to 128 characters from A-Z a-z 0-9 . _ : @ - and not begin with amq"
    )]
    Prefix,
}

#[cfg(test)]
mod tests {
    use super::{QueueSettings, QueueSettingsError};

    #[test]
    fn names_that_the_broker_would_refuse_are_refused_here() {
        assert!(QueueSettings::new("worker-1").check().is_ok());
        for name in ["", "a\nb", "é", &"x".repeat(129)] {
            let error = QueueSettings::new(name).check().unwrap_err();
            assert!(matches!(error, QueueSettingsError::ProcessName), "{name:?}");
        }
        for prefix in ["", "amq.mine", "a b", &"x".repeat(129)] {
            let mut settings = QueueSettings::new("worker-1");
            settings.prefix = String::from(prefix);
            let error = settings.check().unwrap_err();
            assert!(matches!(error, QueueSettingsError::Prefix), "{prefix:?}");
        }
    }
}
