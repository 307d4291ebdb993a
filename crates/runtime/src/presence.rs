//! Renews the presence of this process once a second, and keeps the list of the processes that are alive.
//!
//! The sweeper uses the list to find the jobs of workers that are gone.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use forebay_shared::{ids::ProcessId, lane::LiveProcesses, store::Store};

/// The interval between two renewals, in milliseconds. A third of the presence TTL is used if that is shorter.
const RENEW_EVERY_MS_MAX: u64 = 1_000;

/// The last successful renewal of the presence.
#[derive(Clone, Debug)]
struct Renewal {
    live: LiveProcesses,
    /// When this process sent the renewal.
    sent: Instant,
    /// Since this time, each renewal has followed the previous one within the presence TTL.
    unbroken_since: Instant,
}

/// The presence of this process and of the others. A cheap handle to a [`PresenceLoop`].
#[derive(Clone)]
pub struct Presence {
    last: watch::Receiver<Option<Renewal>>,
    presence_ttl: Duration,
}

/// The loop behind [`Presence`].
pub struct PresenceLoop {
    store: Arc<dyn Store>,
    process: ProcessId,
    last: watch::Sender<Option<Renewal>>,
    presence_ttl_ms: u64,
}

impl Presence {
    /// Creates the handle, and the loop that the caller must run.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        process: ProcessId,
        presence_ttl_ms: u64,
    ) -> (Self, PresenceLoop) {
        let (sender, receiver) = watch::channel(None);
        let presence_ttl = Duration::from_millis(presence_ttl_ms);
        let presence_loop = PresenceLoop {
            store,
            process,
            last: sender,
            presence_ttl_ms,
        };
        (
            Self {
                last: receiver,
                presence_ttl,
            },
            presence_loop,
        )
    }

    /// Whether this process has renewed its presence within the presence TTL. Otherwise other processes may treat it
    /// as gone, and a worker must not take more jobs.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.last
            .borrow()
            .as_ref()
            .is_some_and(|last| last.sent.elapsed() < self.presence_ttl)
    }

    /// The processes that are alive, for a sweeper that looks for workers that are gone. `None` until this process has
    /// renewed its presence without a gap for one presence TTL. After an outage of the store every presence is too old,
    /// even that of a live process.
    #[must_use]
    pub fn live_processes(&self) -> Option<LiveProcesses> {
        let last = self.last.borrow();
        let last = last.as_ref()?;
        let is_unbroken = last.sent.elapsed() < self.presence_ttl
            && last.sent.saturating_duration_since(last.unbroken_since) >= self.presence_ttl;
        is_unbroken.then(|| last.live.clone())
    }

    /// Waits for the first successful renewal.
    pub async fn renewed_once(&mut self) {
        // An error means that the loop has ended, so this process shuts down.
        let _ = self.last.wait_for(Option::is_some).await;
    }
}

impl PresenceLoop {
    /// Renews the presence repeatedly, for as long as the future is polled.
    pub async fn run(self) {
        let renew_every =
            Duration::from_millis((self.presence_ttl_ms / 3).clamp(10, RENEW_EVERY_MS_MAX));
        let presence_ttl = Duration::from_millis(self.presence_ttl_ms);
        let mut interval = interval(renew_every);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            // The time is taken before the call, because the store may process the renewal at any time after that.
            let sent = Instant::now();
            let renewal = self
                .store
                .renew_presence(&self.process, self.presence_ttl_ms);
            match timeout(presence_ttl, renewal).await {
                Ok(Ok(live)) => self.last.send_modify(|last| {
                    // The gap ends with the response. A store that stalls delays the renewals of all processes,
                    // so the list in its response may lack processes that are alive.
                    let received = Instant::now();
                    let unbroken_since = match last {
                        Some(last) if received.duration_since(last.sent) < presence_ttl => {
                            last.unbroken_since
                        }
                        _ => received,
                    };
                    *last = Some(Renewal {
                        live,
                        sent,
                        unbroken_since,
                    });
                }),
                Ok(Err(error)) => tracing::warn!(
                    %error,
                    "this process could not renew its presence in the store; it takes no new jobs until it can"
                ),
                Err(_) => tracing::warn!(
                    "this process could not renew its presence in the store in time; it takes no new jobs until it can"
                ),
            }
        }
    }
}
