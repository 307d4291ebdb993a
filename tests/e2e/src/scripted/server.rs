//! The server as tests hold it: start it, tell it what to answer, wait for what it sees.

use std::{
    io,
    net::SocketAddr,
    ops::RangeInclusive,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    connection,
    gate::{Bar, Gate},
    gemini::Signatures,
    log::{Log, Recorded, Stats},
    reply::Reply,
    request::ChatRequest,
    script::Script,
};

/// How long waits go on unless told otherwise. Generous: it only passes when a test fails.
const WAIT_DEFAULT: Duration = Duration::from_secs(20);
/// The most connections open at once; more wait to be accepted.
const CONNECTIONS_MAX: usize = 20_000;

/// How long a reply takes that says nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Latency {
    /// Always this long.
    Fixed(Duration),
    /// Between the two, both included, from the server's seed.
    UniformMs(u64, u64),
}

/// A scripted LLM server. Dropping it closes its port and all its connections.
pub struct ScriptedLlm {
    state: Arc<State>,
    address: SocketAddr,
    _stop: DropGuard,
}

/// What all connections of one server share.
pub(super) struct State {
    pub(super) log: Log,
    pub(super) script: Script,
    pub(super) signatures: Signatures,
    latency: Mutex<(Latency, StdRng)>,
}

/// A server that is not yet started.
#[derive(Clone, Debug)]
#[must_use = "nothing listens before `start`"]
pub struct Builder {
    latency: Latency,
    seed: u64,
}

impl Builder {
    /// How long each reply takes; at once unless told.
    pub fn latency(mut self, latency: Latency) -> Self {
        self.latency = latency;
        self
    }

    /// A latency between these, in milliseconds.
    pub fn latency_ms(self, range: RangeInclusive<u64>) -> Self {
        self.latency(Latency::UniformMs(*range.start(), *range.end()))
    }

    /// The seed of the latencies.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Opens a free port of 127.0.0.1 and serves on it in this runtime.
    ///
    /// # Panics
    /// When no port can be opened.
    pub async fn start(self) -> ScriptedLlm {
        self.try_start().await.expect("a free port on 127.0.0.1")
    }

    async fn try_start(self) -> io::Result<ScriptedLlm> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            log: Log::new(),
            script: Script::default(),
            signatures: Signatures::default(),
            latency: Mutex::new((self.latency, StdRng::seed_from_u64(self.seed))),
        });
        let stop = CancellationToken::new();
        tokio::spawn(
            stop.clone()
                .run_until_cancelled_owned(accept(listener, Arc::clone(&state))),
        );
        Ok(ScriptedLlm {
            state,
            address,
            _stop: stop.drop_guard(),
        })
    }
}

/// Accepts for ever. Its connections end with it.
async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => {
                // An error is of that one connection, which its client sees for itself.
                if let Ok((stream, _)) = accepted {
                    connections.spawn(connection::serve(stream, Arc::clone(&state)));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

impl State {
    pub(super) fn next_latency(&self) -> Duration {
        let mut guard = self.latency.lock().unwrap_or_else(PoisonError::into_inner);
        let (latency, random) = &mut *guard;
        match *latency {
            Latency::Fixed(latency) => latency,
            Latency::UniformMs(min, max) => Duration::from_millis(random.random_range(min..=max)),
        }
    }
}

impl ScriptedLlm {
    /// A server that answers at once, with seed 0.
    pub fn builder() -> Builder {
        Builder {
            latency: Latency::Fixed(Duration::ZERO),
            seed: 0,
        }
    }

    /// Starts one as [`ScriptedLlm::builder`] has it.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    #[cfg(test)]
    pub(super) fn state(&self) -> &State {
        &self.state
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What `OPENAI_BASE_URL` should say.
    #[must_use]
    pub fn openai_base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// What `GEMINI_BASE_URL` should say.
    #[must_use]
    pub fn gemini_base_url(&self) -> String {
        format!("http://{}/v1beta", self.address)
    }

    /// Changes the latency of the replies to requests that come from now on.
    pub fn set_latency(&self, latency: Latency) {
        let mut guard = self
            .state
            .latency
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        guard.0 = latency;
    }

    /// Installs a rule: its first `Some` is the reply. Rules are asked in the order of their
    /// installation, after the queues. What the real service would refuse is refused unasked.
    pub fn script(&self, rule: impl FnMut(&ChatRequest) -> Option<Reply> + Send + 'static) {
        self.state.script.add_rule(rule);
    }

    /// Queues replies for the requests whose last user message contains `marker`, one each, in the
    /// order of arrival. Later ones are answered as if there were no queue.
    pub fn on(&self, marker: &str, replies: impl IntoIterator<Item = Reply>) {
        self.state.script.add_queue(marker, replies);
    }

    /// Holds back the reply to every request from now on.
    pub fn hold(&self) -> Gate {
        self.hold_those(|_| true)
    }

    /// Holds back the replies to the requests from now on that this concerns.
    pub fn hold_those(
        &self,
        concerns: impl Fn(&ChatRequest) -> bool + Send + Sync + 'static,
    ) -> Gate {
        let (bar, gate) = Bar::new(concerns);
        self.state.script.add_bar(bar);
        gate
    }

    /// Everything recorded so far, in the order of arrival.
    #[must_use]
    pub fn recorded(&self) -> Vec<Recorded> {
        self.state.log.recorded()
    }

    /// The records of the requests whose last user message contains `marker`.
    #[must_use]
    pub fn recorded_with(&self, marker: &str) -> Vec<Recorded> {
        let mut records = self.recorded();
        records.retain(|record| record.request.last_user_text().contains(marker));
        records
    }

    /// What was refused as the real service would, and why.
    #[must_use]
    pub fn refusals(&self) -> Vec<String> {
        let records = self.recorded();
        let refusals = records.iter().filter_map(|record| {
            let reason = record.refusal()?;
            Some(format!("#{}: {reason}", record.request.n))
        });
        refusals.collect()
    }

    /// The numbers so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.state.log.stats()
    }

    /// The newest requests for people, one line each.
    #[must_use]
    pub fn listing(&self) -> String {
        self.state.log.listing()
    }

    /// Waits until `count` requests have come.
    ///
    /// # Panics
    /// After 20 s, with what was seen.
    pub async fn wait_for_requests(&self, count: usize) {
        let what = format!("{count} requests");
        self.wait_for(&what, |records| records.len() >= count).await;
    }

    /// Waits until what was recorded is so. `what` names it for whoever reads a failure.
    ///
    /// # Panics
    /// After 20 s, with what was seen.
    pub async fn wait_for(&self, what: &str, seen: impl Fn(&[Recorded]) -> bool) {
        self.wait_for_within(WAIT_DEFAULT, what, seen).await;
    }

    /// Waits for at most `limit` until what was recorded is so.
    ///
    /// # Panics
    /// After `limit`, with what was seen.
    pub async fn wait_for_within(
        &self,
        limit: Duration,
        what: &str,
        seen: impl Fn(&[Recorded]) -> bool,
    ) {
        if let Err(message) = self.state.log.wait(limit, what, seen).await {
            panic!("{message}");
        }
    }
}
