//! The metrics of a process that are read at each scrape, because the member knows their values already.

use std::sync::Arc;

use forebay_metrics::sampled::{Labels, flag, number, one};

use crate::member::Member;

impl Member {
    /// Registers the metrics of this process that every role has.
    pub fn register_process_metrics(&self) {
        let metrics = &self.metrics;
        let stopping = self.stop_requested.clone();
        metrics.sampled_gauge(
            "forebay_draining",
            "Whether the process was told to stop",
            move || one(Some(flag(stopping.is_cancelled()))),
        );
        let memory = self.memory.clone();
        metrics.sampled_gauge(
            "forebay_memory_used_bytes",
            "Memory that jobs, requests and responses have reserved",
            move || {
                let shares = memory.named().into_iter();
                shares
                    .map(|(name, share)| {
                        (share_label(name), number(share.total() - share.available()))
                    })
                    .collect()
            },
        );
        let memory = self.memory.clone();
        metrics.sampled_gauge(
            "forebay_memory_share_bytes",
            "Memory that jobs, requests and responses may reserve",
            move || {
                let shares = memory.named().into_iter();
                shares
                    .map(|(name, share)| (share_label(name), number(share.total())))
                    .collect()
            },
        );
    }

    /// Registers the metrics of a process that runs jobs.
    pub fn register_worker_metrics(&self) {
        let health = self.worker_health.clone();
        self.metrics.sampled_gauge(
            "forebay_slots_used",
            "Jobs that this worker runs",
            move || one(u32::try_from(health.used_slots()).ok().map(f64::from)),
        );
        let queue = Arc::clone(&self.queue);
        self.metrics.sampled_gauge(
            "forebay_consumer_connected",
            "Whether the worker's consumers are registered at the queue",
            move || one(Some(flag(queue.is_consuming()))),
        );
        let health = self.worker_health.clone();
        self.metrics.sampled_gauge(
            "forebay_worker_wedged",
            "Whether jobs wait and this worker takes none, although it could",
            move || one(Some(flag(health.is_wedged()))),
        );
    }
}

fn share_label(name: &str) -> Labels {
    vec![("share", name.into())]
}
