//! Where the store is, and why one cannot work with it.

use std::{fmt, path::PathBuf};

use redis::RedisError;

/// Where the store is and how to get there.
#[derive(Clone)]
pub struct RedisSettings {
    /// `redis://` or `rediss://` with TLS; several, with commas between them, of a Redis Cluster, of
    /// which any that answers leads to all others. May carry a password, so it is never printed.
    pub url: String,
    /// A file with the certificates (PEM) of the authorities to trust instead of the machine's own.
    pub ca_file: Option<PathBuf>,
    /// What all keys and channels begin with, so that installations can share a server.
    pub prefix: String,
    /// What the connections are called in `CLIENT LIST`: which process they belong to. No spaces.
    pub client_name: String,
}

impl RedisSettings {
    /// Settings with the defaults: the machine's own authorities, prefix `fb`.
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

/// Why the store cannot be used. That it is away at the moment is not among the reasons.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL is not one.
    #[error("the URL of Redis cannot be read")]
    Url(#[source] RedisError),
    /// The file with the authorities cannot be read.
    #[error("the certificates in {} cannot be read", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The server does not let us in.
    #[error("Redis refuses the user or the password")]
    Denied(#[source] RedisError),
    /// The server is set up in a way that would lose jobs, or it is too old.
    #[error(transparent)]
    Unfit(#[from] Unfit),
}

/// Why a server that answers must not be used, and what to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It lacks what the scripts need.
    #[error("this is Redis {version}, and version 7 or newer (or Valkey) is needed")]
    TooOld {
        /// What it says of itself.
        version: String,
    },
    /// It may drop live jobs when its memory is used up.
    #[error(
        "maxmemory-policy is {policy}, with which Redis drops live jobs when its memory is used up: \
         set it to noeviction"
    )]
    Evicts {
        /// What is set.
        policy: String,
    },
    /// Several addresses lead to a server that is not part of a cluster.
    #[error("several Redis URLs are given, but the server is not part of a Redis Cluster")]
    NoCluster,
}
