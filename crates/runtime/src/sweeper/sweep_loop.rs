//! The sweeper's loop: takes part in the elections, and sweeps while this process is elected.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

use super::{
    passes::{Sweeper, TERM_MS},
    term::Term,
};

/// The interval between two sweeps.
const SWEEP_EVERY: Duration = Duration::from_millis(250);
/// How often a process takes part in the elections while another process is the sweeper. Together with the term, this bounds the
/// time without a sweeper.
const ELECTION_EVERY: Duration = Duration::from_secs(1);
/// A sweeper whose publishes have not been confirmed for this long ends its term, so that another process can be elected.
const UNCONFIRMED_MAX: Duration = Duration::from_secs(5);
/// A process that has ended its term takes part in no election for this long. After that it takes part again, because it
/// may be the only process, and even a sweeper that cannot publish lets jobs expire.
const ELECTION_PAUSE: Duration = Duration::from_secs(4);

impl Sweeper {
    /// Sweeps while this process is elected, for as long as the future is polled.
    pub async fn run(mut self) {
        self.presence.renewed_once().await;
        let mut interval = interval(SWEEP_EVERY);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut term: Option<Term> = None;
        let mut no_election_before = Instant::now();
        loop {
            interval.tick().await;
            if Instant::now() < no_election_before {
                continue;
            }
            match self.store.elect_sweeper(&self.id, TERM_MS).await {
                Ok(true) => {}
                Ok(false) => {
                    self.is_sweeper_sender.send_replace(false);
                    term = None;
                    // A little less than `ELECTION_EVERY`, so that the tick a second later is not just too early.
                    no_election_before = Instant::now() + ELECTION_EVERY - SWEEP_EVERY / 2;
                    continue;
                }
                Err(error) => {
                    tracing::debug!(%error, "the election of the sweeper failed; trying again in 250 ms");
                    self.is_sweeper_sender.send_replace(false);
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
                    "the queue has confirmed no wake for 5 s; this process ends its term as the sweeper"
                );
                if let Err(error) = self.store.end_term(&self.id).await {
                    tracing::debug!(%error, "the term could not be ended; it ends by itself in 2 s");
                }
                self.is_sweeper_sender.send_replace(false);
                term = None;
                no_election_before = Instant::now() + ELECTION_PAUSE;
                continue;
            }
            self.is_sweeper_sender
                .send_if_modified(|is_sweeper| !std::mem::replace(is_sweeper, true));
            current.sweep(&self).await;
        }
    }
}
