//! Several pools of connections to one provider, each for so many calls at a time.
//!
//! A client shares one HTTP/2 connection among all its calls, and a server allows only so many streams
//! on one (often 100, RFC 9113 section 6.5.2 recommends no less): what is over would wait unseen within
//! the connection. So a further pool is made when those there have enough to do. Over HTTP/1.1 each call
//! has a connection of its own either way.

use std::sync::{
    Arc, PoisonError, RwLock,
    atomic::{AtomicUsize, Ordering},
};

/// Calls at a time in one pool.
const CALLS_MAX: usize = 100;

/// The most pools; beyond them calls share more closely.
const POOLS_MAX: usize = 1_024;

/// Pools of connections, made as they are needed.
pub(super) struct Pools {
    builder: Box<dyn Fn() -> Result<reqwest::Client, reqwest::Error> + Send + Sync>,
    pools: RwLock<Vec<Pool>>,
}

#[derive(Clone)]
struct Pool {
    client: reqwest::Client,
    calls: Arc<AtomicUsize>,
}

/// A client for one call; its place is free again when this is dropped.
pub(super) struct Leased {
    pub(super) client: reqwest::Client,
    calls: Arc<AtomicUsize>,
}

impl Drop for Leased {
    fn drop(&mut self) {
        self.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pools {
    /// Pools that are made by `builder`, the first of them at once.
    ///
    /// # Errors
    /// When the first cannot be made; then no other could.
    pub(super) fn new(
        builder: impl Fn() -> Result<reqwest::Client, reqwest::Error> + Send + Sync + 'static,
    ) -> Result<Self, reqwest::Error> {
        let first = Pool {
            client: builder()?,
            calls: Arc::default(),
        };
        Ok(Self {
            builder: Box::new(builder),
            pools: RwLock::new(vec![first]),
        })
    }

    /// A client for one more call: of the first pool that has room, so that few connections are kept.
    pub(super) fn lease(&self) -> Leased {
        {
            let pools = self.pools.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(leased) = pools.iter().find_map(Pool::lease) {
                return leased;
            }
        }
        let mut pools = self.pools.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(leased) = pools.iter().find_map(Pool::lease) {
            return leased;
        }
        // The first could be made from the same settings, so this is a rare lack of resources.
        if pools.len() < POOLS_MAX
            && let Ok(client) = (self.builder)()
        {
            pools.push(Pool {
                client,
                calls: Arc::default(),
            });
        }
        let least = pools
            .iter()
            .min_by_key(|pool| pool.calls.load(Ordering::Relaxed));
        least.expect("there is always a pool").lease_anyway()
    }
}

impl Pool {
    fn lease(&self) -> Option<Leased> {
        let more = |calls| (calls < CALLS_MAX).then_some(calls + 1);
        self.calls
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .ok()?;
        Some(Leased {
            client: self.client.clone(),
            calls: Arc::clone(&self.calls),
        })
    }

    fn lease_anyway(&self) -> Leased {
        self.calls.fetch_add(1, Ordering::Relaxed);
        Leased {
            client: self.client.clone(),
            calls: Arc::clone(&self.calls),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CALLS_MAX, Pools};

    fn size(pools: &Pools) -> usize {
        pools.pools.read().unwrap().len()
    }

    #[test]
    fn a_pool_is_made_when_the_others_are_full_and_used_again_when_they_are_not() {
        let pools = Pools::new(|| reqwest::Client::builder().build()).unwrap();
        let mut first: Vec<_> = (0..CALLS_MAX).map(|_| pools.lease()).collect();
        assert_eq!(size(&pools), 1);
        let second = pools.lease();
        assert_eq!(size(&pools), 2);
        first.pop();
        let third = pools.lease();
        assert_eq!(size(&pools), 2);
        drop((first, second, third));
        let _all: Vec<_> = (0..2 * CALLS_MAX).map(|_| pools.lease()).collect();
        assert_eq!(size(&pools), 2);
    }
}
