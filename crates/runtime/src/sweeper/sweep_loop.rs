//! The elections, and the loop around the sweeps.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{
    passes::{ELECTION_TTL_MS, Sweeper},
    term::Term,
};

/// The interval between two sweeps.
const SWEEP_EVERY: Duration = Duration::from_millis(250);
/// A sweeper whose publishes have not been confirmed for this long steps down, so that another process can try.
const UNCONFIRMED_MAX: Duration = Duration::from_secs(5);
/// How long it then takes part in no election. After that it does again, because it may be the only process, and jobs
/// expire without publishes.
const STAND_BACK: Duration = Duration::from_secs(4);

impl Sweeper {
    /// Sweeps while this process is elected, for as long as the future is polled.
    pub async fn run(mut self) {
        self.presence.announced().await;
        let mut tick = interval(SWEEP_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut term: Option<Term> = None;
        let mut stand_back_until = Instant::now();
        loop {
            tick.tick().await;
            if Instant::now() < stand_back_until {
                continue;
            }
            match self.store.elect_sweeper(&self.id, ELECTION_TTL_MS).await {
                Ok(true) => {}
                Ok(false) => {
                    term = None;
                    continue;
                }
                Err(error) => {
                    tracing::debug!(%error, "the sweeper could not be elected; trying again");
                    term = None;
                    continue;
                }
            }
            let current = term.get_or_insert_with(|| {
                tracing::debug!(process = %self.id, "this process is the sweeper now");
                Term::new()
            });
            if self.wakes.unconfirmed_for() > UNCONFIRMED_MAX && current.age() > UNCONFIRMED_MAX {
                tracing::warn!(
                    "the queue has confirmed no wake for 5 s; this process steps down as the sweeper"
                );
                if let Err(error) = self.store.step_down(&self.id).await {
                    tracing::debug!(%error, "the term could not be ended; it ends by itself in 2 s");
                }
                term = None;
                stand_back_until = Instant::now() + STAND_BACK;
                continue;
            }
            current.sweep(&self).await;
        }
    }
}
