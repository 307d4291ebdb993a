//! The state of a scripted LLM: its record, its script, and the latency of its replies.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rand::{RngExt, rngs::StdRng};

use super::{gemini::Signatures, record::Record, script::Script};

/// How long a reply takes, unless the reply itself says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Latency {
    /// The same for each reply.
    Fixed(Duration),
    /// A random time between these two, both included, from the server's seed.
    UniformMs(u64, u64),
}

/// What all requests to one server share.
pub(super) struct State {
    pub(super) record: Record,
    pub(super) script: Script,
    pub(super) signatures: Signatures,
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
