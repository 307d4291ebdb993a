//! The interface of the scripted LLM. Tests start it, add its rules and queue its replies, and wait for requests.

use std::{
    net::SocketAddr,
    ops::RangeInclusive,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rand::{SeedableRng, rngs::StdRng};

use super::{
    answer::answer,
    capacity::Capacity,
    gate::{Barrier, Gate},
    gemini::Signatures,
    http_server::HttpServer,
    limit::{RateLimit, RateLimits},
    recorded_calls::RecordedCalls,
    reply::{ProviderError, ScriptedReply},
    request::ChatRequest,
    request_log::{Recorded, RequestLog, Stats},
    script::Script,
    state::{Latency, State},
};

/// The timeout of a wait. Only failing tests reach it.
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);

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
    /// Sets how long each reply takes; zero by default.
    pub fn latency(mut self, latency: Latency) -> Self {
        self.latency = latency;
        self
    }

    /// Sets a random latency in this range, in milliseconds, for each reply.
    pub fn latency_ms(self, range: RangeInclusive<u64>) -> Self {
        self.latency(Latency::UniformMs(*range.start(), *range.end()))
    }

    /// Sets the seed of the random latencies.
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
            log: RequestLog::new(),
            script: Script::default(),
            rate_limits: RateLimits::default(),
            capacity: Capacity::default(),
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
    /// A builder of a server without latency, with seed 0.
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

    /// The address at which the server listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The value of `OPENAI_BASE_URL` with which clients reach this server.
    #[must_use]
    pub fn openai_base_url(&self) -> String {
        format!("http://{}/v1", self.address())
    }

    /// The value of `GEMINI_BASE_URL` with which clients reach this server.
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

    /// Adds a rule. The oldest rule that returns `Some` gives the reply. Replies of
    /// [`queue_replies`](Self::queue_replies) take precedence over rules. A request that the real service would refuse is
    /// refused before rules and queued replies are used.
    pub fn add_rule(
        &self,
        rule: impl FnMut(&ChatRequest) -> Option<ScriptedReply> + Send + 'static,
    ) {
        self.state.script.add_rule(rule);
    }

    /// Queues replies for the requests whose last user message contains `marker`: one for each request, in
    /// the order of arrival. An empty queue has no effect.
    pub fn queue_replies(&self, marker: &str, replies: impl IntoIterator<Item = ScriptedReply>) {
        self.state.script.add_queue(marker, replies);
    }

    /// Makes every later call of this model fail with 500, unless an older rule or a queued reply answers it.
    pub fn fail_model(&self, model: &str) {
        let failing = model.to_owned();
        self.add_rule(move |request| {
            (request.model == failing).then(|| ProviderError::server_error().into())
        });
    }

    /// Limits the rate of the later calls of all models together, except models with a limit of their own. A call beyond
    /// the limit is answered with 429.
    pub fn set_rate_limit(&self, limit: Option<RateLimit>) {
        self.state.rate_limits.set(limit);
    }

    /// Limits the rate of the later calls of one model.
    pub fn set_rate_limit_of_model(&self, model: &str, limit: Option<RateLimit>) {
        self.state.rate_limits.set_for_model(model, limit);
    }

    /// Limits how many later calls are in flight. A call beyond the limit is answered with 503.
    pub fn set_capacity(&self, calls_max: u32) {
        self.state.capacity.set(calls_max);
    }

    /// Closes the port and all connections. From now on connections are refused, until
    /// [`go_online`](Self::go_online).
    pub async fn go_offline(&self) {
        self.server.stop_listening().await;
    }

    /// Opens the same port again. Does nothing if it is open.
    ///
    /// # Panics
    /// If the port cannot be opened.
    pub async fn go_online(&self) {
        self.server.listen_again().await;
    }

    /// Holds back the replies to all later requests until the gate lets them pass.
    pub fn gate_all_requests(&self) -> Gate {
        self.gate_requests(|_| true)
    }

    /// Holds back the replies to the later requests for which `filter` returns true.
    pub fn gate_requests(
        &self,
        filter: impl Fn(&ChatRequest) -> bool + Send + Sync + 'static,
    ) -> Gate {
        let (barrier, gate) = Barrier::new(filter);
        self.state.script.add_barrier(barrier);
        gate
    }

    /// All requests so far, in the order of arrival.
    #[must_use]
    pub fn recorded(&self) -> Vec<Recorded> {
        self.state.log.recorded()
    }

    /// The calls so far, with the counts that tests of rate limits need.
    #[must_use]
    pub fn calls(&self) -> RecordedCalls {
        RecordedCalls::new(self.recorded())
    }

    /// The requests so far whose last user message contains `marker`.
    #[must_use]
    pub fn recorded_with(&self, marker: &str) -> Vec<Recorded> {
        let mut records = self.recorded();
        records.retain(|record| record.request.last_user_text().contains(marker));
        records
    }

    /// The requests that the real service would have refused, with the reasons. The scripted LLM refused them too.
    #[must_use]
    pub fn refusals(&self) -> Vec<String> {
        let records = self.recorded();
        let refusals = records.iter().filter_map(|record| {
            let reason = record.refusal()?;
            Some(format!("#{}: {reason}", record.request.number))
        });
        refusals.collect()
    }

    /// The counts so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut stats = self.state.log.stats();
        stats.connections = self.server.connections().count();
        stats.unexpected.extend(self.server.malformed());
        stats
    }

    /// The newest requests as text for an error message, one line each.
    #[must_use]
    pub fn listing(&self) -> String {
        self.state.log.listing()
    }

    /// Waits until `count` requests have arrived.
    ///
    /// # Panics
    /// After 60 s. The message lists the newest requests.
    pub async fn wait_for_requests(&self, count: usize) {
        let description = format!("{count} requests");
        self.wait_for(&description, |records| records.len() >= count)
            .await;
    }

    /// Waits until `condition` is true for the requests so far. The error message contains `description`.
    ///
    /// # Panics
    /// After 60 s. The message lists the newest requests.
    pub async fn wait_for(&self, description: &str, condition: impl Fn(&[Recorded]) -> bool) {
        self.wait_for_within(WAIT_TIMEOUT, description, condition)
            .await;
    }

    /// Waits for at most `timeout` until `condition` is true for the requests so far.
    ///
    /// # Panics
    /// After `timeout`. The message lists the newest requests.
    pub async fn wait_for_within(
        &self,
        timeout: Duration,
        description: &str,
        condition: impl Fn(&[Recorded]) -> bool,
    ) {
        if let Err(message) = self.state.log.wait(timeout, description, condition).await {
            panic!("{message}");
        }
    }
}
