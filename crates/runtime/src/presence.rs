//! Announces this process once a second, and knows who else is there and who is gone.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use forebay_shared::{ids::ProcessId, lane, store::Store};

/// How often a process announces itself; more often if the presence time is short.
const RENEW_MS_MAX: u64 = 1_000;

/// What is known from the last renewal.
#[derive(Clone, Debug)]
struct Known {
    view: lane::Presence,
    renewed: Instant,
    /// Since when the renewals have had no gap of a presence time.
    unbroken_since: Instant,
}

/// The handle to the loop: who is at work.
#[derive(Clone)]
pub struct Presence {
    known: watch::Receiver<Option<Known>>,
    presence_time: Duration,
}

/// The loop behind [`Presence`].
pub struct PresenceLoop {
    store: Arc<dyn Store>,
    me: ProcessId,
    known: watch::Sender<Option<Known>>,
    presence_ms: u64,
}

impl Presence {
    /// The handle, and the loop that somebody has to run.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, me: ProcessId, presence_ms: u64) -> (Self, PresenceLoop) {
        let (sender, receiver) = watch::channel(None);
        let presence_time = Duration::from_millis(presence_ms);
        let run = PresenceLoop {
            store,
            me,
            known: sender,
            presence_ms,
        };
        (
            Self {
                known: receiver,
                presence_time,
            },
            run,
        )
    }

    /// Whether the store has answered within one presence time. A worker that is out of touch may be
    /// taken for gone, and must take no further jobs.
    #[must_use]
    pub fn in_touch(&self) -> bool {
        self.known
            .borrow()
            .as_ref()
            .is_some_and(|k| k.renewed.elapsed() < self.presence_time)
    }

    /// Who is at work, for a sweeper to judge others by. `None` while this process has not itself been
    /// present without a gap for one presence time: after an outage of the store all presences have
    /// lapsed, and nobody is gone.
    #[must_use]
    pub fn verdict(&self) -> Option<lane::Presence> {
        let known = self.known.borrow();
        let known = known.as_ref()?;
        let unbroken = known.renewed.elapsed() < self.presence_time
            && known
                .renewed
                .saturating_duration_since(known.unbroken_since)
                >= self.presence_time;
        unbroken.then(|| known.view.clone())
    }

    /// Waits until the store has answered the first time.
    pub async fn announced(&mut self) {
        // An error means that the loop is gone, and with it the process.
        let _ = self.known.wait_for(Option::is_some).await;
    }
}

impl PresenceLoop {
    /// Announces this process, again and again, for as long as the future is polled.
    pub async fn run(self) {
        let every = Duration::from_millis((self.presence_ms / 3).clamp(10, RENEW_MS_MAX));
        let presence_time = Duration::from_millis(self.presence_ms);
        let mut tick = interval(every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            // From before the call: what was true when it was asked is all that is known.
            let asked = Instant::now();
            match timeout(
                presence_time,
                self.store.announce(&self.me, self.presence_ms),
            )
            .await
            {
                Ok(Ok(renewal)) => self.known.send_modify(|known| {
                    // To the answer, since a store that stalls for less than the presence time has let
                    // everybody's presence age by as much: nobody may be judged by that view.
                    let answered = Instant::now();
                    let unbroken_since = match known {
                        Some(k) if answered.duration_since(k.renewed) < presence_time => {
                            k.unbroken_since
                        }
                        _ => answered,
                    };
                    let view = lane::Presence {
                        at: renewal.now,
                        alive: Arc::new(renewal.alive),
                    };
                    *known = Some(Known {
                        view,
                        renewed: asked,
                        unbroken_since,
                    });
                }),
                Ok(Err(error)) => tracing::warn!(%error, "this process could not announce itself"),
                Err(_) => tracing::warn!("this process could not announce itself in time"),
            }
        }
    }
}
