//! The metrics of changes to lanes. Every process changes lanes.

use prometheus_client::{metrics::counter::Counter, registry::Registry};

/// The metrics of changes to lanes. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct LaneMetrics {
    /// Commits that found that another process had changed the lane since this process read or wrote it. They are repeated.
    /// A commit that was made without a read of the lane does not count: by a submit that assumes a new lane, or by a claim that uses
    /// the lane copy of its wake. A conflict after a lost response does not count either.
    pub commit_conflicts: Counter,
    /// Running jobs that this process took from their workers, while it was the sweeper: the worker is gone, or the time limit
    /// of its claim has passed. A running job that expires does not count.
    pub takeovers: Counter,
}

impl LaneMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register(
            "forebay_commit_conflicts",
            "Commits that were repeated, because another process had changed the lane",
            self.commit_conflicts.clone(),
        );
        registry.register(
            "forebay_takeovers",
            "Running jobs that this process took from workers that are gone or exceeded the time limit of a claim",
            self.takeovers.clone(),
        );
    }
}
