//! The connections to one provider.
//!
//! Over HTTP/1.1 each call has a connection of its own, and leaves it for the next. Over HTTP/2 calls share
//! connections: as many on each as the server allows, within a bound of our own, so that what is over does not
//! wait unseen within a connection. Calls that come while a connection is being made take their places on it, so
//! that a burst makes no more connections than it needs; if it cannot be made, all of them learn why.
//!
//! Which of the two it is is known beforehand without TLS, and learned from the first connection with it.

use std::{
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use hyper::client::conn::http1;
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout},
};

use super::{
    connection::{Body, Connection, SharedConnection},
    connector::Connector,
    leased::Leased,
    shared::{CALLS_MAX, Place, Shared},
};
use crate::provider::Failure;

/// The most shared connections; beyond them calls wait for a place.
const SHARED_MAX: usize = 1_024;
/// How often they look for one that nobody told them of: when a server allows more than before, or an idle connection
/// ends.
const FULL_LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a connection may be busy after its answer; one is for long whose server answered before it had read the
/// whole request, and the next call must not wait for that.
const BUSY_MAX: Duration = Duration::from_millis(100);
/// A connection that nobody has used for so long is closed.
pub(super) const IDLE_MAX: Duration = Duration::from_secs(90);
/// How often such connections are looked for.
const REAP_EVERY: Duration = Duration::from_secs(30);

/// The connections to one provider.
pub(super) struct Pool {
    connector: Connector,
    state: Mutex<State>,
    shared_max: usize,
    /// Wakes one call that waits for a place for each that is free again, and all of them when there may be more.
    freed: Arc<Notify>,
}

struct State {
    /// Whether each call has a connection of its own, as far as is known.
    is_own: bool,
    /// Connections that were left for the next, the newest last. As many as there were calls at a time.
    idle: Vec<Idle>,
    shared: Vec<Arc<Shared>>,
    /// How many calls a connection takes that is still being made: as many as the last one did.
    expected_max: usize,
    is_reaping: bool,
}

struct Idle {
    sender: http1::SendRequest<Body>,
    since: Instant,
}

/// What a call may do next.
enum Next {
    Take(Leased),
    Share(Place),
    Connect,
}

impl Pool {
    /// An empty pool.
    pub(super) fn new(connector: Connector) -> Self {
        Self::bounded(connector, SHARED_MAX)
    }

    fn bounded(connector: Connector, shared_max: usize) -> Self {
        Self {
            shared_max,
            freed: Arc::default(),
            state: Mutex::new(State {
                is_own: connector.is_http1_only(),
                idle: Vec::new(),
                shared: Vec::new(),
                expected_max: CALLS_MAX,
                is_reaping: false,
            }),
            connector,
        }
    }

    pub(super) const fn connector(&self) -> &Connector {
        &self.connector
    }

    /// A connection for one call, and whether it was made while the call waited for it.
    ///
    /// # Errors
    /// [`Failure`] when none can be made.
    pub(super) async fn lease(self: &Arc<Self>) -> Result<(Leased, bool), Failure> {
        loop {
            let next = match self.next() {
                Some(next) => next,
                // Boxed, since hardly any call waits here.
                None => Box::pin(self.wait()).await,
            };
            match next {
                Next::Take(leased) => return Ok((leased, false)),
                Next::Connect => {
                    let connection = self.connector.connect().await?;
                    return Ok((self.adopt(connection), true));
                }
                Next::Share(place) => {
                    let (is_new, mut is_mine) = (!place.is_made(), false);
                    let made = place.connection(|| {
                        is_mine = true;
                        self.make_shared()
                    });
                    let made = made.await;
                    if is_mine {
                        // It may have room for more than was expected, or it leaves room for another.
                        self.freed.notify_waiters();
                    }
                    // Without one, there was no room after all, or each call has to make its own.
                    if let Some(connection) = made? {
                        let leased = Leased::Shared {
                            connection,
                            _place: place,
                        };
                        return Ok((leased, is_new));
                    }
                }
            }
        }
    }

    /// Waits for as long as all places are taken.
    async fn wait(self: &Arc<Self>) -> Next {
        loop {
            let mut freed = pin!(self.freed.notified());
            // From here on no news is missed, so what came before is looked for once more.
            freed.as_mut().enable();
            if let Some(next) = self.next() {
                return next;
            }
            // The time is a reason to look, too.
            let _ = timeout(FULL_LOOK_EVERY, freed).await;
        }
    }

    /// `None`: all places are taken.
    fn next(self: &Arc<Self>) -> Option<Next> {
        let mut state = self.state();
        if state.is_own {
            while let Some(idle) = state.idle.pop() {
                if idle.is_usable() {
                    return Some(Next::Take(Leased::Own(idle.sender)));
                }
            }
            return Some(Next::Connect);
        }
        state.shared.retain(|shared| !shared.is_over());
        let expected_max = state.expected_max;
        let roomy = state
            .shared
            .iter()
            .find(|shared| shared.has_room(expected_max));
        if let Some(shared) = roomy {
            return Some(Next::Share(Place::on(shared)));
        }
        if state.shared.len() >= self.shared_max {
            return None;
        }
        let shared = Arc::new(Shared::new(&self.freed));
        let place = Place::on(&shared);
        state.shared.push(shared);
        self.reap_later(&mut state);
        Some(Next::Share(place))
    }

    /// Makes a connection that is meant to be shared; if the server does not speak HTTP/2, it is left for a call
    /// of its own.
    async fn make_shared(self: &Arc<Self>) -> Result<Option<SharedConnection>, Failure> {
        match self.connector.connect().await? {
            Connection::Shared(connection) => {
                self.state().expected_max = connection.streams_max().min(CALLS_MAX);
                Ok(Some(connection))
            }
            Connection::Own(sender) => {
                self.state().is_own = true;
                self.leave(sender);
                Ok(None)
            }
        }
    }

    /// Takes in a connection that a call made for itself.
    fn adopt(self: &Arc<Self>, connection: Connection) -> Leased {
        match connection {
            Connection::Own(sender) => Leased::Own(sender),
            Connection::Shared(connection) => {
                // The server speaks HTTP/2 now.
                let shared = Arc::new(Shared::made(connection.clone(), &self.freed));
                let place = Place::on(&shared);
                let mut state = self.state();
                state.is_own = false;
                state.shared.push(shared);
                self.reap_later(&mut state);
                self.freed.notify_waiters();
                Leased::Shared {
                    connection,
                    _place: place,
                }
            }
        }
    }

    /// Takes a connection back whose answer has been read to the end; it is left for the next call.
    pub(super) async fn take_back(self: &Arc<Self>, leased: Leased) {
        // The place on a shared one is free when it is dropped.
        if let Leased::Own(mut sender) = leased
            && let Ok(Ok(())) = timeout(BUSY_MAX, sender.ready()).await
        {
            self.leave(sender);
        }
    }

    fn leave(self: &Arc<Self>, sender: http1::SendRequest<Body>) {
        let mut state = self.state();
        state.idle.push(Idle {
            sender,
            since: Instant::now(),
        });
        self.reap_later(&mut state);
    }

    fn reap_later(self: &Arc<Self>, state: &mut State) {
        if !state.is_reaping {
            state.is_reaping = true;
            tokio::spawn(reap(Arc::downgrade(self)));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Idle {
    fn is_usable(&self) -> bool {
        !self.sender.is_closed() && self.since.elapsed() < IDLE_MAX
    }
}

/// Closes what nobody uses, until nothing is left or the pool is gone.
async fn reap(pool: Weak<Pool>) {
    loop {
        sleep(REAP_EVERY).await;
        let Some(pool) = pool.upgrade() else { return };
        let mut state = pool.state();
        state.idle.retain(Idle::is_usable);
        state
            .shared
            .retain(|shared| !shared.is_over() && !shared.is_idle());
        if state.idle.is_empty() && state.shared.is_empty() {
            state.is_reaping = false;
            return;
        }
    }
}

#[cfg(test)]
mod tests;
