//! The loop that acts on due timers, so that whatever a crash or a lost message cuts off goes on.
//!
//! Every gateway and every worker runs it; the store elects one. It also passes over the running jobs
//! of workers that are gone, wakes everything when the queue has lost its messages, and forgets what
//! is over.

mod passes;
mod reign;

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::{gauge::Gauge, lanes::Lanes, presence::Presence, wakes::Wakes};
use forebay_shared::{ids::ProcessId, queue::Queue, store::Store};
use reign::Reign;

/// How often due timers are looked for.
const SWEEP_EVERY: Duration = Duration::from_millis(250);
/// For how long an election holds without a renewal.
const ELECTION_TTL_MS: u64 = 2_000;
/// Whoever cannot publish for so long lets another try.
const UNCONFIRMED_MAX: Duration = Duration::from_secs(5);
/// For how long it then does not stand again. Alone, it must: expiry needs no publishing.
const STAND_BACK: Duration = Duration::from_secs(4);

/// What a sweeper is told.
#[derive(Clone, Copy, Debug)]
pub struct SweeperSettings {
    /// The most sessions kept; `None` for no cap.
    pub sessions_max: Option<u64>,
}

/// Acts on due timers while it is elected.
pub struct Sweeper {
    /// Who sweeps.
    pub id: ProcessId,
    /// The store.
    pub store: Arc<dyn Store>,
    /// The queue, asked for its depth only; wakes go through `lanes`.
    pub queue: Arc<dyn Queue>,
    /// Applies the ticks.
    pub lanes: Lanes,
    /// Asked whether publishes are confirmed.
    pub wakes: Wakes,
    /// The counts.
    pub gauge: Arc<Gauge>,
    /// Who is at work.
    pub presence: Presence,
    /// What it is told.
    pub settings: SweeperSettings,
}

impl Sweeper {
    /// Sweeps, for as long as the future is polled.
    pub async fn run(mut self) {
        self.presence.announced().await;
        let mut tick = interval(SWEEP_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reign: Option<Reign> = None;
        let mut stand_after = Instant::now();
        loop {
            tick.tick().await;
            if Instant::now() < stand_after {
                continue;
            }
            match self.store.elect_sweeper(&self.id, ELECTION_TTL_MS).await {
                Ok(true) => {}
                Ok(false) => {
                    reign = None;
                    continue;
                }
                Err(error) => {
                    tracing::debug!(%error, "no election: the store does not answer");
                    reign = None;
                    continue;
                }
            }
            let reigning = reign.get_or_insert_with(|| {
                tracing::debug!(process = %self.id, "elected to sweep");
                Reign::new()
            });
            if self.wakes.unconfirmed_for() > UNCONFIRMED_MAX && reigning.age() > UNCONFIRMED_MAX {
                tracing::warn!("the queue confirms nothing; another process may sweep");
                if let Err(error) = self.store.step_down(&self.id).await {
                    tracing::debug!(%error, "the store was not told");
                }
                reign = None;
                stand_after = Instant::now() + STAND_BACK;
                continue;
            }
            reigning.sweep(&self).await;
        }
    }
}
