//! Finds out when a waiting request should read its job again: after a notice, or at intervals if notices cannot be received.

use std::time::Duration;

use forebay_shared::{
    ids::JobId,
    store::{Notices, Topic},
};
use tokio::time::{Instant, sleep_until, timeout};

use crate::state::ApiState;

/// How often a request reads its job although no notice has arrived, because notices can be lost.
const REREAD_EVERY: Duration = Duration::from_secs(30);
/// How long a request waits for its subscription to notices. Without a subscription, it reads its job at intervals.
const SUBSCRIBE_TIMEOUT: Duration = Duration::from_millis(500);
/// The interval before the first read without notices. Each further interval is twice as long, up to [`INTERVAL_MAX`].
const INTERVAL_MIN: Duration = Duration::from_millis(250);
const INTERVAL_MAX: Duration = Duration::from_secs(4);

/// The notices of a job, or the intervals of the reads without notices.
pub(super) struct JobChanges<'a> {
    state: &'a ApiState,
    job: JobId,
    /// `None` while there is no subscription.
    notices: Option<Notices>,
    /// The next interval without notices.
    interval: Duration,
}

impl<'a> JobChanges<'a> {
    /// Subscribes to the notices of a job. The caller then reads the job. If it read the job before, it would miss the notice of
    /// a job that ends between the read and the subscription.
    pub(super) async fn watch(state: &'a ApiState, job: JobId) -> Self {
        let mut changes = Self {
            state,
            job,
            notices: None,
            interval: INTERVAL_MIN,
        };
        changes.subscribe().await;
        changes
    }

    /// Waits until the job should be read again, at most until `deadline` or until the gateway stops. Returns `false` if
    /// the caller should not read the job: the gateway stops, or too many other requests read their jobs at this time.
    pub(super) async fn next(&mut self, deadline: Instant) -> bool {
        let stop = self.state.stop.clone();
        let waited = stop.run_until_cancelled(self.wait(deadline)).await;
        waited.unwrap_or(false)
    }

    async fn wait(&mut self, deadline: Instant) -> bool {
        if let Some(notices) = &mut self.notices {
            let reread_at = deadline.min(Instant::now() + REREAD_EVERY);
            tokio::select! {
                notice = notices.next() => if notice.is_some() {
                    return true;
                },
                () = sleep_until(reread_at) => return true,
            }
            // The stream has ended, and notices may have been lost with it.
            self.notices = None;
            self.interval = INTERVAL_MIN;
        }
        sleep_until(deadline.min(Instant::now() + self.interval)).await;
        self.interval = (self.interval * 2).min(INTERVAL_MAX);
        if Instant::now() < deadline {
            self.subscribe().await;
        }
        self.state.read_pacer.wait_to_read(deadline).await
    }

    async fn subscribe(&mut self) {
        let watch = self.state.member.store.watch(Topic::Job(self.job));
        self.notices = match timeout(SUBSCRIBE_TIMEOUT, watch).await {
            Ok(Ok(notices)) => Some(notices),
            Ok(Err(error)) => {
                tracing::debug!(job_id = %self.job, %error, "a waiting request gets no notices; it reads its job at intervals");
                None
            }
            Err(_elapsed) => None,
        };
    }
}
