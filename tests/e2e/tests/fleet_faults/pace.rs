//! How many sessions a test has, how many turns each submits, and how fast.

use std::time::Duration;

/// The size and speed of a test's submits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// The number of sessions that submit at the same time.
    pub(crate) sessions: usize,
    /// The number of turns that each session submits. Each turn adds a reply, so this is at most half of the turns that
    /// Forebay keeps of a session.
    pub(crate) turns: u64,
    /// The number of turns between two pauses. A session submits each turn as soon as the turn before is accepted.
    pub(crate) burst: u64,
    /// The pause of a session between two bursts.
    pub(crate) pause: Duration,
}

impl Pace {
    /// Slow traffic during a fault: about 13 turns a second from 20 sessions, for more than two minutes.
    pub(crate) const SLOW: Self = Self {
        sessions: 20,
        turns: 96,
        burst: 2,
        pause: Duration::from_secs(3),
    };

    /// The turns of all sessions together.
    pub(crate) const fn total_turns(&self) -> usize {
        self.sessions * self.turns as usize
    }
}
