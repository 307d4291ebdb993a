//! The scripted LLM as tests use it: they start it, script its replies, and wait for requests.

use std::{
    net::SocketAddr,
    ops::RangeInclusive,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rand::{SeedableRng, rngs::StdRng};

use super::{
    answer::answer,
    gate::{Barrier, Gate},
    gemini::Signatures,
    http_server::HttpServer,
    record::{Record, Recorded, Stats},
    reply::ScriptedReply,
    request::ChatRequest,
    script::Script,
    state::{Latency, State},
};

/// The default limit of waits. Only failing tests reach it.
const WAIT_DEFAULT: Duration = Duration::from_secs(60);

/// A scripted LLM server. Dropping it closes its port and all its connections.
pub struct ScriptedLlm {
    state: Arc<State>,
    server: HttpServer,
}

/// A server that is not started yet.
#[derive(Clone, Debug)]
#[must_use = "nothing listens before `start`"]
pub struct Builder {
    latency: Latency,
    seed: u64,
}

impl Builder {
    /// How long each reply takes; no time by default.
    pub fn latency(mut self, latency: Latency) -> Self {
        self.latency = latency;
        self
    }

    /// A random latency in this range, in milliseconds.
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
    /// If no port can be opened.
    pub async fn start(self) -> ScriptedLlm {
        let state = Arc::new(State {
            record: Record::new(),
            script: Script::default(),
            signatures: Signatures::default(),
            latency: Mutex::new((self.latency, StdRng::seed_from_u64(self.seed))),
        });
        let shared = Arc::clone(&state);
        let handler = move |exchange| answer(exchange, Arc::clone(&shared));
        let server = HttpServer::builder().start(handler).await;
        ScriptedLlm { state, server }
    }
}

impl ScriptedLlm {
    /// A server without latency, with seed 0.
    pub fn builder() -> Builder {
        Builder {
            latency: Latency::Fixed(Duration::ZERO),
            seed: 0,
        }
    }

    /// Starts a server with the defaults of [`ScriptedLlm::builder`].
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
        self.server.address()
    }

    /// The value of `OPENAI_BASE_URL` that leads here.
    #[must_use]
    pub fn openai_base_url(&self) -> String {
        format!("http://{}/v1", self.address())
    }

    /// The value of `GEMINI_BASE_URL` that leads here.
    #[must_use]
    pub fn gemini_base_url(&self) -> String {
        format!("http://{}/v1beta", self.address())
    }

    /// Changes the latency of the replies to later requests.
    pub fn set_latency(&self, latency: Latency) {
        let mut guard = self
            .state
            .latency
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        guard.0 = latency;
    }

    /// Adds a rule. The first rule that returns `Some`, in the order in which they were added, gives the reply.
    /// Queues ([`on`](Self::on)) come before rules. What the real service refuses is refused before both.
    pub fn script(&self, rule: impl FnMut(&ChatRequest) -> Option<ScriptedReply> + Send + 'static) {
        self.state.script.add_rule(rule);
    }

    /// Queues replies for the requests whose last user message contains `marker`: one for each request, in
    /// the order of arrival. When the queue is empty, requests are answered as without it.
    pub fn on(&self, marker: &str, replies: impl IntoIterator<Item = ScriptedReply>) {
        self.state.script.add_queue(marker, replies);
    }

    /// Holds back the reply to every later request.
    pub fn hold(&self) -> Gate {
        self.hold_those(|_| true)
    }

    /// Holds back the replies to the later requests for which `holds` returns true.
    pub fn hold_those(&self, holds: impl Fn(&ChatRequest) -> bool + Send + Sync + 'static) -> Gate {
        let (barrier, gate) = Barrier::new(holds);
        self.state.script.add_barrier(barrier);
        gate
    }

    /// Everything recorded so far, in the order of arrival.
    #[must_use]
    pub fn recorded(&self) -> Vec<Recorded> {
        self.state.record.recorded()
    }

    /// The records of the requests whose last user message contains `marker`.
    #[must_use]
    pub fn recorded_with(&self, marker: &str) -> Vec<Recorded> {
        let mut records = self.recorded();
        records.retain(|record| record.request.last_user_text().contains(marker));
        records
    }

    /// The requests that were refused as the real service does, with the reasons.
    #[must_use]
    pub fn refusals(&self) -> Vec<String> {
        let records = self.recorded();
        let refusals = records.iter().filter_map(|record| {
            let reason = record.refusal()?;
            Some(format!("#{}: {reason}", record.request.n))
        });
        refusals.collect()
    }

    /// The counts so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut stats = self.state.record.stats();
        stats.connections = self.server.connections().count();
        stats.unexpected.extend(self.server.malformed());
        stats
    }

    /// The newest requests for a person to read, one line each.
    #[must_use]
    pub fn listing(&self) -> String {
        self.state.record.listing()
    }

    /// Waits until `count` requests have arrived.
    ///
    /// # Panics
    /// After 60 s, with a listing of the record.
    pub async fn wait_for_requests(&self, count: usize) {
        let what = format!("{count} requests");
        self.wait_for(&what, |records| records.len() >= count).await;
    }

    /// Waits until `condition` holds for the record. `what` names the condition in the message of a failure.
    ///
    /// # Panics
    /// After 60 s, with a listing of the record.
    pub async fn wait_for(&self, what: &str, condition: impl Fn(&[Recorded]) -> bool) {
        self.wait_for_within(WAIT_DEFAULT, what, condition).await;
    }

    /// Waits for at most `limit` until `condition` holds for the record.
    ///
    /// # Panics
    /// After `limit`, with a listing of the record.
    pub async fn wait_for_within(
        &self,
        limit: Duration,
        what: &str,
        condition: impl Fn(&[Recorded]) -> bool,
    ) {
        if let Err(message) = self.state.record.wait(limit, what, condition).await {
            panic!("{message}");
        }
    }
}
