//! A process that was started, and what must live as long as it.

use std::sync::Arc;

use tempfile::TempDir;
use tokio::process::Child;

use super::cgroup::Cgroup;

/// The fields are dropped in their order, so the process ends first.
pub(super) struct Spawned {
    pub(super) child: Child,
    /// The data folder, if it is temporary.
    pub(super) own_dir: Option<Arc<TempDir>>,
    /// The control group, if the memory of the process is limited.
    pub(super) cgroup: Option<Cgroup>,
}
