//! Whether the disk has failed. After a failure, nothing is written any more.

use std::sync::Arc;

use tokio::sync::watch;

/// Whether a sync or a copy has failed since the engine was opened.
pub(super) struct DiskHealth {
    has_failed: watch::Sender<bool>,
}

impl Default for DiskHealth {
    fn default() -> Self {
        Self {
            has_failed: watch::Sender::new(false),
        }
    }
}

impl DiskHealth {
    /// Reports that the disk failed.
    pub(super) fn mark_failed(&self) {
        self.has_failed.send_replace(true);
    }

    pub(super) fn has_failed(&self) -> bool {
        *self.has_failed.borrow()
    }

    /// Waits until the disk has failed.
    pub(super) async fn until_failed(&self) {
        // `wait_for` cannot fail, because this struct owns the sender.
        let mut has_failed = self.has_failed.subscribe();
        let _ = has_failed.wait_for(|has_failed| *has_failed).await;
    }
}

/// A guard for a thread. If the thread panics, the guard marks the disk as failed, so that the process ends.
pub(super) struct FailOnPanic(pub(super) Arc<DiskHealth>);

impl Drop for FailOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.mark_failed();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_thread_that_panics_counts_as_a_failure_of_the_disk() {
        let disk = Arc::<DiskHealth>::default();
        let guard = FailOnPanic(Arc::clone(&disk));
        let thread = std::thread::spawn(move || {
            let _guard = guard;
            panic!("this panic is a part of the test");
        });
        disk.until_failed().await;
        assert!(disk.has_failed());
        assert!(thread.join().is_err());
    }
}
