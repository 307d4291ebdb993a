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
    /// Held by the scrape that runs. Others wait for it without a thread.
    pub(super) scrape: tokio::sync::Mutex<()>,
}
