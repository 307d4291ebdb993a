//! What the routes of the admin listener share.

use std::sync::Arc;

use forebay_runtime::member::Member;

use crate::readiness::Requirements;

/// What the routes share.
pub(super) struct AdminState {
    /// The process, with its metrics and its health.
    pub(super) member: Arc<Member>,
    /// What the process needs to be ready.
    pub(super) requirements: Requirements,
    /// Held by the running scrape. Other scrapes wait for it without blocking a thread.
    pub(super) scrape: tokio::sync::Mutex<()>,
}
