//! Picks the engine: the only place that names a concrete one.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context, bail};
use forebay_engine::embedded::Embedded;
use forebay_shared::{queue::Queue, store::Store};

use crate::settings::{Role, Settings};

/// Which engine a process runs on.
#[derive(Clone, Debug)]
pub(crate) enum Choice {
    /// SQLite in this folder.
    Embedded(PathBuf),
}

impl Choice {
    /// What the settings ask for.
    pub(crate) fn of(role: Option<Role>, settings: &Settings) -> anyhow::Result<Self> {
        let amqp = settings.amqp_url.as_ref().filter(|url| !url.is_empty());
        let redis = settings.redis_url.as_ref().filter(|url| !url.is_empty());
        match (amqp, redis, role) {
            (Some(_), None, _) => {
                bail!("AMQP_URL is set and REDIS_URL is not: set both, or neither")
            }
            (None, Some(_), _) => {
                bail!("REDIS_URL is set and AMQP_URL is not: set both, or neither")
            }
            (None, None, Some(role)) => {
                let role = format!("{role:?}").to_lowercase();
                bail!(
                    "forebay {role} needs AMQP_URL and REDIS_URL: over the embedded engine, gateway \
                     and worker run in one process, as plain `forebay`"
                )
            }
            (None, None, None) => Ok(Self::Embedded(settings.data_dir.clone())),
            (Some(_), Some(_), _) => {
                bail!("AMQP_URL and REDIS_URL are set, but this release has no engine for them yet")
            }
        }
    }

    /// Whether it needs no other server.
    pub(crate) const fn is_embedded(&self) -> bool {
        matches!(self, Self::Embedded(_))
    }

    /// Opens it.
    pub(crate) fn open(&self) -> anyhow::Result<Engine> {
        match self {
            Self::Embedded(folder) => {
                let engine = Embedded::open(folder).context("the embedded engine did not open")?;
                Ok(Engine {
                    store: engine.store(),
                    queue: engine.queue(),
                    open: engine,
                })
            }
        }
    }
}

/// An open engine.
pub(crate) struct Engine {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) queue: Arc<dyn Queue>,
    open: Embedded,
}

impl Engine {
    /// Closes it; everything that was answered for is on disk before and after.
    pub(crate) async fn close(self) {
        self.open.close().await;
    }
}
