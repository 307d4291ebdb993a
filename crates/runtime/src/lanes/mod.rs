//! The imperative shell around the lane protocol: load a lane, apply an event, commit the outcome by
//! compare-and-set, publish the wake.
//!
//! A process has at most one commit in flight for a lane; events that come meanwhile are folded into
//! the next. The work is done in a task of its own, so a caller that goes away (a client that hangs
//! up) never leaves a change half done.

mod change;
mod draft;
mod recent;
mod round;
mod surely;
mod waking;

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

use crate::wakes::Wakes;
use forebay_shared::{
    class::Class,
    ids::LaneKey,
    lane::Refused,
    session::SessionBounds,
    store::{Head, Store, StoreError},
};

pub use change::{Applied, AttemptOutput, Bring, LaneChange};
use round::Pending;

/// The most events that may wait for one lane in one process.
const WAITING_MAX: usize = 1_000;

/// What the commits of this process carry, besides what the rules say.
#[derive(Clone, Copy, Debug)]
pub struct LaneSettings {
    /// What bounds a session.
    pub session: SessionBounds,
    /// How long the record of a job that has ended is kept, in milliseconds.
    pub result_ttl_ms: u64,
}

/// Why a change was not made, or is not known to have been made.
#[derive(Debug, thiserror::Error)]
pub enum LaneError {
    /// The rules refuse it.
    #[error("the change was refused")]
    Refused(#[source] Refused),
    /// The store did not answer in time, or failed. The change may have been made.
    #[error("the store did not take the change")]
    Store(#[source] StoreError),
    /// Too many changes of this lane wait in this process, or others change it without pause.
    #[error("too many changes of one session at once")]
    Contended,
}

impl LaneError {
    /// Why the rules refused, if that is the reason.
    #[must_use]
    pub const fn refused(&self) -> Option<Refused> {
        match self {
            Self::Refused(refused) => Some(*refused),
            Self::Store(_) | Self::Contended => None,
        }
    }
}

/// Applies events to lanes. Cheap to clone.
#[derive(Clone)]
pub struct Lanes {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    wakes: Wakes,
    settings: LaneSettings,
    recent: recent::Recent,
    /// The lanes that a task is at work on, with the events that wait for it.
    waiting: Mutex<HashMap<LaneKey, VecDeque<Pending>>>,
}

impl Lanes {
    /// Lanes of this store, whose heads are woken by `wakes`.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, wakes: Wakes, settings: LaneSettings) -> Self {
        Self {
            inner: Arc::new(Inner {
                store,
                wakes,
                settings,
                recent: recent::Recent::default(),
                waiting: Mutex::default(),
            }),
        }
    }

    /// Makes a change; returns once it is on disk, or after `timeout`, whatever is first.
    ///
    /// # Errors
    /// [`LaneError`]. After `Store` the change may have been made, or may still be made by a commit that
    /// is under way; to repeat it is safe.
    pub async fn apply(&self, change: LaneChange, timeout: Duration) -> Result<Applied, LaneError> {
        let until = Instant::now() + timeout;
        let (answer, receiver) = oneshot::channel();
        let lane = change.lane.clone();
        self.enqueue(lane, Pending::new(change, until, answer))?;
        match timeout_at(until, receiver).await {
            Ok(Ok(result)) => result,
            // Either the time is up, or the task ended without an answer (a panic in an engine).
            Ok(Err(_)) | Err(_) => Err(LaneError::Store(StoreError::Unavailable(None))),
        }
    }

    /// Wakes ready heads of a class, many in one trip.
    ///
    /// # Errors
    /// [`StoreError`] when it is not known whether their timers were moved. Then none is woken, and the timers
    /// see to that.
    pub async fn wake(&self, class: Class, heads: &[Head]) -> Result<(), StoreError> {
        self.inner.wake_all(class, heads).await
    }

    fn enqueue(&self, lane: LaneKey, pending: Pending) -> Result<(), LaneError> {
        let mut waiting = self
            .inner
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = waiting.get_mut(&lane) {
            if queue.len() >= WAITING_MAX {
                return Err(LaneError::Contended);
            }
            queue.push_back(pending);
            return Ok(());
        }
        waiting.insert(lane.clone(), VecDeque::from([pending]));
        drop(waiting);
        tokio::spawn(drive(Arc::clone(&self.inner), lane));
        Ok(())
    }
}

/// Makes the changes of one lane, round by round, until none waits.
async fn drive(inner: Arc<Inner>, lane: LaneKey) {
    // Should a round panic, those who wait get an error and the lane is free again.
    let _free = Free {
        inner: &inner,
        lane: &lane,
    };
    while let Some(pending) = inner.take(&lane) {
        round::run(&inner, &lane, pending).await;
    }
}

struct Free<'a> {
    inner: &'a Inner,
    lane: &'a LaneKey,
}

impl Drop for Free<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut waiting = self
                .inner
                .waiting
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            waiting.remove(self.lane);
        }
    }
}

impl Inner {
    /// The changes for the next round: all that wait, up to a claim, which begins a round of its own. A
    /// load brings the work of one job only, and its turns must be those that the changes before it
    /// left. What nobody waits for any more is dropped. `None`, and the lane is free, when nothing waits.
    fn take(&self, lane: &LaneKey) -> Option<Vec<Pending>> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = waiting.get_mut(lane)?;
        let mut taken: Vec<Pending> = Vec::with_capacity(queue.len());
        while let Some(next) = queue.front() {
            if next.is_claim() && !taken.is_empty() {
                break;
            }
            taken.extend(queue.pop_front().filter(Pending::is_awaited));
        }
        if taken.is_empty() {
            waiting.remove(lane);
            return None;
        }
        Some(taken)
    }
}
