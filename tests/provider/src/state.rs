//! The state of a scripted LLM: its log of requests, its script, its rate limits, and the latency of its replies.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rand::{RngExt, rngs::StdRng};

use super::{
    capacity::Capacity, gemini::Signatures, limit::RateLimits, request_log::RequestLog,
    script::Script,
};

/// How long a reply takes, unless the reply has a latency of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Latency {
    /// Each reply takes this time.
    Fixed(Duration),
    /// A random number of milliseconds between these two, both included. The server's seed determines the numbers.
    UniformMs(u64, u64),
}

/// The state that all requests to one server share.
pub(super) struct State {
    pub(super) log: RequestLog,
    pub(super) script: Script,
    pub(super) rate_limits: RateLimits,
    pub(super) capacity: Capacity,
    pub(super) signatures: Signatures,
    /// The latency of the replies, and the generator of random latencies.
    pub(super) latency: Mutex<(Latency, StdRng)>,
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
