//! The clients of one provider, and how calls are spread over them.
//!
//! A client has one HTTP/2 connection to a host, and large servers allow about 100 streams on a connection. Further
//! calls would wait within the connection, so they get another client.

use std::{
    ops::Deref,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use reqwest::Client;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::builder::{CALLS_MAX, ClientBuilder, ClientError};
use crate::provider::Failure;

/// How long a client may be unused before it is dropped, with its connections.
const IDLE_MAX: Duration = Duration::from_secs(90);

/// The clients of one provider. A client is added when a call needs it. The last client is dropped once it was unused for
/// [`IDLE_MAX`].
pub(super) struct Clients {
    builder: ClientBuilder,
    /// Never empty. A call takes the first client that has a permit, so the last clients become idle.
    clients: Mutex<Vec<CountedClient>>,
}

/// A client with a limit on its calls in flight.
struct CountedClient {
    client: Client,
    /// One permit for each further call that this client can make at the same time.
    permits: Arc<Semaphore>,
    used_at: Instant,
    connect_failure: Arc<ConnectFailure>,
}

/// The newest failure of one client to connect, and its time. All calls that waited for the connection return this failure.
#[derive(Default)]
struct ConnectFailure(Mutex<Option<(Instant, Failure)>>);

/// A client for one call. The call counts as in flight until the permit is dropped.
pub(super) struct ClientPermit {
    client: Client,
    connect_failure: Arc<ConnectFailure>,
    _permit: OwnedSemaphorePermit,
}

impl ClientPermit {
    /// Stores a failure to connect for the calls that waited for the same connection.
    pub(super) fn set_connect_failure(&self, failure: Failure) {
        *self.connect_failure.lock() = Some((Instant::now(), failure));
    }

    /// The newest failure to connect since `started`.
    pub(super) fn connect_failure_since(&self, started: Instant) -> Option<Failure> {
        let newest = self.connect_failure.lock();
        let (at, failure) = newest.as_ref()?;
        (*at >= started).then(|| failure.clone())
    }
}

impl ConnectFailure {
    fn lock(&self) -> MutexGuard<'_, Option<(Instant, Failure)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deref for ClientPermit {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Clients {
    /// Builds the first client. More clients are added as calls need them.
    ///
    /// # Errors
    /// [`ClientError::Http`] when no client can be built.
    pub(super) fn new(builder: ClientBuilder) -> Result<Self, ClientError> {
        let first = CountedClient::new(&builder).map_err(ClientError::Http)?;
        Ok(Self {
            builder,
            clients: Mutex::new(vec![first]),
        })
    }

    /// A client for one more call.
    ///
    /// # Errors
    /// When a further client is needed and cannot be built.
    pub(super) fn acquire(&self) -> reqwest::Result<ClientPermit> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        while clients.len() > 1 && clients.last().is_some_and(CountedClient::is_idle) {
            clients.pop();
        }
        if let Some(permit) = clients.iter_mut().find_map(CountedClient::acquire) {
            return Ok(permit);
        }
        let mut added = CountedClient::new(&self.builder)?;
        let permit = added.acquire().expect("a new client has permits");
        clients.push(added);
        Ok(permit)
    }
}

impl CountedClient {
    fn new(builder: &ClientBuilder) -> reqwest::Result<Self> {
        Ok(Self {
            client: builder.build()?,
            permits: Arc::new(Semaphore::new(CALLS_MAX)),
            used_at: Instant::now(),
            connect_failure: Arc::default(),
        })
    }

    fn acquire(&mut self) -> Option<ClientPermit> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().ok()?;
        self.used_at = Instant::now();
        Some(ClientPermit {
            client: self.client.clone(),
            connect_failure: Arc::clone(&self.connect_failure),
            _permit: permit,
        })
    }

    fn is_idle(&self) -> bool {
        self.permits.available_permits() == CALLS_MAX && self.used_at.elapsed() >= IDLE_MAX
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::provider::http::{Endpoint, HttpSettings};

    fn clients() -> Clients {
        let endpoint = Endpoint::parse("http://127.0.0.1:9").expect("the URL is valid");
        let builder = ClientBuilder::new(&HttpSettings::default(), &endpoint, HeaderMap::new());
        Clients::new(builder.expect("the builder is created")).expect("the client is built")
    }

    fn acquire(clients: &Clients, count: usize) -> Vec<ClientPermit> {
        let acquire = |_| clients.acquire().expect("the client is built");
        (0..count).map(acquire).collect()
    }

    fn count(clients: &Clients) -> usize {
        clients
            .clients
            .lock()
            .expect("no thread has panicked with the lock")
            .len()
    }

    #[tokio::test]
    async fn a_client_is_added_only_when_all_clients_are_full() {
        let clients = clients();
        let mut permits = acquire(&clients, 2 * CALLS_MAX);
        assert_eq!(count(&clients), 2);
        // When a call ends, another call can use the same client.
        permits.remove(0);
        permits.extend(acquire(&clients, 1));
        assert_eq!(count(&clients), 2);
        permits.extend(acquire(&clients, 1));
        assert_eq!(count(&clients), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn clients_that_are_idle_for_long_are_dropped() {
        let clients = clients();
        let mut permits = acquire(&clients, 2 * CALLS_MAX + 1);
        tokio::time::advance(IDLE_MAX).await;
        // The last client has a call in flight, so no client is dropped. Clients are dropped from the end only.
        permits.drain(..2 * CALLS_MAX);
        permits.extend(acquire(&clients, 1));
        assert_eq!(count(&clients), 3);
        permits.clear();
        acquire(&clients, 1);
        assert_eq!(count(&clients), 1);
    }
}
