//! Collects the parks of heads whose wakes are confirmed, and sends many of them to the store together.
//!
//! Most heads are claimed within a second of their wake. A claim moves the timer, so such a head needs no park, and the store
//! has nothing to write for it. A timer that is not parked, for example after a crash, is due earlier: its head is woken twice.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until, timeout},
};

use forebay_shared::{
    store::{Store, TimerMove},
    time::TimeMs,
};

/// How long parks are collected.
const COLLECT_FOR: Duration = Duration::from_secs(1);
/// A timer that is due in less than this time is parked at once, or the sweeper would act on it before.
const DUE_SOON_MS: u64 = 2_000;
/// Once this many parks are collected, they are sent without a further wait.
const COLLECTED_MAX: usize = 8_192;
/// The most parks of one call to the store, so that it does not delay other calls for long.
const PARKS_PER_CALL: usize = 256;
/// The most parks that wait while the store does not respond. Further ones are dropped.
const WAITING_MAX: usize = 65_536;
/// How long the last parks may delay the end of a process.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The parks that were not sent yet.
pub(super) struct Parks {
    store: Arc<dyn Store>,
    waiting: Mutex<Waiting>,
    /// Notified when `send_at` becomes earlier.
    became_earlier: Notify,
}

#[derive(Default)]
struct Waiting {
    moves: Vec<TimerMove>,
    /// When the moves must be sent. `None` without moves.
    send_at: Option<Instant>,
}

impl Parks {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            waiting: Mutex::default(),
            became_earlier: Notify::new(),
        }
    }

    /// Adds parks. Never waits.
    pub(super) fn add(&self, moves: Vec<TimerMove>) {
        let Some(earliest) = moves.iter().map(|park| park.from).min() else {
            return;
        };
        let mut waiting = self.lock();
        let free = WAITING_MAX.saturating_sub(waiting.moves.len());
        if moves.len() > free {
            let timers = moves.len() - free;
            tracing::debug!(
                timers,
                "too many timers wait to be parked; these fire early"
            );
        }
        waiting.moves.extend(moves.into_iter().take(free));
        let send_now =
            waiting.moves.len() >= COLLECTED_MAX || is_due_soon(earliest, self.store.now());
        let delay = if send_now {
            Duration::ZERO
        } else {
            COLLECT_FOR
        };
        let send_at = Instant::now() + delay;
        if waiting.send_at.is_none_or(|before| send_at < before) {
            waiting.send_at = Some(send_at);
            self.became_earlier.notify_one();
        }
    }

    /// Sends the parks whenever they must be sent, for as long as the future is polled.
    pub(super) async fn run(&self) {
        loop {
            let send_at = self.lock().send_at;
            match send_at {
                Some(at) if at <= Instant::now() => {
                    // In a task of its own, so that a call to the store is not dropped halfway.
                    let sent = send(Arc::clone(&self.store), self.take());
                    let _ = tokio::spawn(sent).await;
                }
                Some(at) => {
                    tokio::select! {
                        () = sleep_until(at) => {}
                        () = self.became_earlier.notified() => {}
                    }
                }
                None => self.became_earlier.notified().await,
            }
        }
    }

    /// Sends all parks that were not sent yet. Gives up after [`FLUSH_TIMEOUT`].
    pub(super) async fn flush(&self) {
        let sent = async {
            loop {
                let moves = self.take();
                if moves.is_empty() {
                    break;
                }
                send(Arc::clone(&self.store), moves).await;
            }
        };
        let _ = timeout(FLUSH_TIMEOUT, sent).await;
    }

    /// Takes the oldest parks, at most [`PARKS_PER_CALL`].
    fn take(&self) -> Vec<TimerMove> {
        let mut waiting = self.lock();
        let count = waiting.moves.len().min(PARKS_PER_CALL);
        let taken = waiting.moves.drain(..count).collect();
        if waiting.moves.is_empty() {
            waiting.send_at = None;
        }
        taken
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_due_soon(timer: TimeMs, now: TimeMs) -> bool {
    timer < now.plus_ms(DUE_SOON_MS)
}

async fn send(store: Arc<dyn Store>, moves: Vec<TimerMove>) {
    if let Err(error) = store.move_timers(&moves).await {
        // Timers that fire early wake some heads twice, which is harmless.
        tracing::debug!(%error, timers = moves.len(), "timers were not parked; they fire early");
    }
}
