//! The metrics of changes to lanes. Every process changes lanes.

use prometheus_client::{metrics::counter::Counter, registry::Registry};

/// The metrics of changes to lanes. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct LaneMetrics {
    /// Commits that found that another process had changed the lane. They are made again.
    pub commit_conflicts: Counter,
    /// Running jobs that this process took from workers that are gone, while it was the sweeper.
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
            "Running jobs that this process took from workers that are gone",
            self.takeovers.clone(),
        );
    }
}
