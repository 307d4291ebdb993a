//! A connection that calls share, perhaps still being made, and their places on it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, OnceCell},
    time::Instant,
};

use super::{connection::SharedConnection, pool::IDLE_MAX};
use crate::provider::Failure;

/// Calls at a time on one shared connection, whatever the server allows: what a lost packet holds up.
pub(super) const CALLS_MAX: usize = 100;

/// A connection that calls share, perhaps still being made.
pub(super) struct Shared {
    /// `None`: the server speaks HTTP/1.1 after all.
    made: OnceCell<Result<Option<SharedConnection>, Failure>>,
    calls: AtomicUsize,
    /// When the last call left, in milliseconds from `began`.
    left_ms: AtomicU64,
    began: Instant,
    /// Told of each place that is free again.
    freed: Arc<Notify>,
}

impl Shared {
    /// One that whoever comes first will make.
    pub(super) fn new(freed: &Arc<Notify>) -> Self {
        Self::with(OnceCell::new(), freed)
    }

    /// One that is there.
    pub(super) fn made(connection: SharedConnection, freed: &Arc<Notify>) -> Self {
        Self::with(OnceCell::new_with(Some(Ok(Some(connection)))), freed)
    }

    fn with(
        made: OnceCell<Result<Option<SharedConnection>, Failure>>,
        freed: &Arc<Notify>,
    ) -> Self {
        Self {
            freed: Arc::clone(freed),
            made,
            calls: AtomicUsize::new(0),
            left_ms: AtomicU64::new(0),
            began: Instant::now(),
        }
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    /// Whether one more call may have a place. `expected_max`: how many there are while it is being made.
    pub(super) fn has_room(&self, expected_max: usize) -> bool {
        let allowed = match self.made.get() {
            Some(Ok(Some(connection))) => connection.streams_max(),
            _ => expected_max,
        };
        self.calls() < allowed.min(CALLS_MAX)
    }

    /// Whether no call may begin on it any more.
    pub(super) fn is_over(&self) -> bool {
        match self.made.get() {
            None => false,
            Some(Ok(Some(connection))) => connection.sender.is_closed(),
            Some(_) => true,
        }
    }

    /// Whether nobody has used it for long.
    pub(super) fn is_idle(&self) -> bool {
        let left = Duration::from_millis(self.left_ms.load(Ordering::Relaxed));
        self.calls() == 0 && self.began.elapsed().saturating_sub(left) >= IDLE_MAX
    }
}

/// A place on a shared connection, free again when this is dropped.
pub(super) struct Place {
    shared: Arc<Shared>,
    /// How many calls were there when it was taken.
    before: usize,
}

impl Place {
    /// Takes a place; callers take turns.
    pub(super) fn on(shared: &Arc<Shared>) -> Self {
        Self {
            before: shared.calls.fetch_add(1, Ordering::Relaxed),
            shared: Arc::clone(shared),
        }
    }

    /// Whether its connection is there.
    pub(super) fn is_made(&self) -> bool {
        self.shared.made.initialized()
    }

    /// The connection, made by `make` unless it is there or somebody else is at it. `None`: this place is one
    /// too many for the server, or the server shares no connections.
    ///
    /// # Errors
    /// [`Failure`] when it cannot be made; all who waited for it get the same.
    pub(super) async fn connection<F>(
        &self,
        make: impl FnOnce() -> F,
    ) -> Result<Option<SharedConnection>, Failure>
    where
        F: Future<Output = Result<Option<SharedConnection>, Failure>>,
    {
        let made = self.shared.made.get_or_init(make).await;
        let connection = made.as_ref().map_err(Clone::clone)?.as_ref();
        Ok(connection
            .filter(|connection| self.before < connection.streams_max())
            .cloned())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Shared {
            calls,
            left_ms,
            began,
            freed,
            ..
        } = &*self.shared;
        let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        left_ms.store(ms, Ordering::Relaxed);
        calls.fetch_sub(1, Ordering::Relaxed);
        freed.notify_one();
    }
}
