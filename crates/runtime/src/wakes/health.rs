//! Measures for how long the queue has confirmed no publish of this process.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// A failure older than this is ignored. Otherwise a process that has nothing to publish would report an old failure
/// until its next publish.
const FAILURE_EXPIRES_AFTER: Duration = Duration::from_secs(10);

/// Whether publishes are confirmed.
#[derive(Default)]
pub(super) struct PublishHealth {
    failures: Mutex<Option<Failures>>,
}

/// A series of failed publishes without a confirmed publish between them.
#[derive(Clone, Copy)]
struct Failures {
    since: Instant,
    last: Instant,
}

impl PublishHealth {
    /// Records a publish, or a request that was dropped before its publish.
    pub(super) fn record(&self, is_confirmed: bool) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        *failures = match *failures {
            _ if is_confirmed => None,
            Some(earlier) if now.duration_since(earlier.last) < FAILURE_EXPIRES_AFTER => {
                Some(Failures {
                    last: now,
                    ..earlier
                })
            }
            _ => Some(Failures {
                since: now,
                last: now,
            }),
        };
    }

    /// The time since the first failure of the current series. Zero if there is none.
    pub(super) fn unconfirmed_for(&self) -> Duration {
        let failures = *self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        match failures {
            Some(failures) if failures.last.elapsed() < FAILURE_EXPIRES_AFTER => {
                failures.since.elapsed()
            }
            _ => Duration::ZERO,
        }
    }
}
