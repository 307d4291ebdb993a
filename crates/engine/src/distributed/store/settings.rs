//! The settings of the store in Redis, and the errors that prevent its start.

use std::{fmt, path::PathBuf};

use redis::RedisError;

/// Where Redis is and how to connect to it.
#[derive(Clone)]
pub struct RedisSettings {
    /// A URL with the scheme `redis`, or `rediss` for TLS. A Redis Cluster may have several URLs, separated by commas:
    /// any node that answers reports the other nodes. The URL may contain a password, so it is never printed.
    pub url: String,
    /// A PEM file with the certificate authorities to trust instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The prefix of all keys and channels, so that installations can share a server.
    pub prefix: String,
    /// The name of the connections in `CLIENT LIST`, usually the process's id. No spaces.
    pub client_name: String,
}

impl RedisSettings {
    /// Settings with the defaults: the system's certificate authorities, the prefix `fb` and the client name `forebay`.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            ca_file: None,
            prefix: String::from("fb"),
            client_name: String::from("forebay"),
        }
    }
}

impl fmt::Debug for RedisSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSettings")
            .field("ca_file", &self.ca_file)
            .field("prefix", &self.prefix)
            .field("client_name", &self.client_name)
            .finish_non_exhaustive()
    }
}

/// Why the store cannot be used. A server that does not answer is not such an error: the store starts and keeps trying to connect.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL is invalid.
    #[error("the URL of Redis is invalid")]
    Url(#[source] RedisError),
    /// The file with the certificate authorities cannot be read.
    #[error("the certificates in {} cannot be read", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// The server refuses the user or the password, or the user lacks a permission.
    #[error("Redis refuses the user or the password, or the user lacks a permission")]
    Denied(#[source] RedisError),
    /// The server must not be used.
    #[error(transparent)]
    Unsuitable(#[from] UnsuitableServer),
}

/// Why a server must not be used. Each message contains what to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnsuitableServer {
    /// The server lacks features that the scripts need.
    #[error("this is Redis {version}; Forebay needs Redis 7 or newer, or Valkey")]
    TooOld {
        /// The version that the server reports.
        version: String,
    },
    /// The server may delete live jobs when its memory is full.
    #[error(
        "maxmemory-policy is {policy}, with which Redis deletes live jobs when its memory is full: set it \
         to noeviction"
    )]
    Evicts {
        /// The policy that is set.
        policy: String,
    },
    /// Several URLs are given, but the server is not part of a cluster.
    #[error(
        "several Redis URLs are given, but the server is not part of a Redis Cluster: give the URL of one server"
    )]
    NoCluster,
}
