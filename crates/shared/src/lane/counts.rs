//! The share of a lane in the counts that limits, metrics and autoscaling read.
//!
//! The counts of a store are the sum over all lanes. A commit adds the share of its lane after the commit minus the share before
//! it, so the sum cannot drift.

use std::ops::{AddAssign, Index, Sub};

use serde::{Deserialize, Serialize};

use super::{Lane, State};
use crate::class::Class;

/// Live jobs of one class, by what they wait for. The numbers are signed, because a commit adds differences.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassCounts {
    /// Heads that could run now.
    pub ready: i64,
    /// Heads that a worker runs.
    pub in_flight: i64,
    /// Jobs that wait behind another job of their session, or for tool results.
    pub behind_session: i64,
    /// Heads that wait for their next try.
    pub retry_wait: i64,
    /// Heads that wait until their provider may be called.
    pub provider_wait: i64,
}

impl ClassCounts {
    /// All live jobs of the class.
    #[must_use]
    pub const fn live(&self) -> i64 {
        self.ready + self.in_flight + self.behind_session + self.retry_wait + self.provider_wait
    }
}

/// The counts of both classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneCounts {
    /// The counts of interactive jobs.
    pub interactive: ClassCounts,
    /// The counts of batch jobs.
    pub batch: ClassCounts,
}

impl LaneCounts {
    /// The share of one lane.
    #[must_use]
    pub fn of(lane: &Lane) -> Self {
        let mut counts = Self::default();
        for (position, entry) in lane.entries.iter().enumerate() {
            let class = match entry.class {
                Class::Interactive => &mut counts.interactive,
                Class::Batch => &mut counts.batch,
            };
            let count = match (position, &entry.state) {
                (0, State::Running { .. }) => &mut class.in_flight,
                (0, State::Queued { not_before: None }) => &mut class.ready,
                // The head under a hold has the end of the hold as its `not_before`. It waits for tool results.
                (0, State::Queued { not_before }) if *not_before != lane.hold_until => {
                    &mut class.retry_wait
                }
                (0, State::Deferred(_)) => &mut class.provider_wait,
                _ => &mut class.behind_session,
            };
            *count += 1;
        }
        counts
    }
}

impl Index<Class> for LaneCounts {
    type Output = ClassCounts;
    fn index(&self, class: Class) -> &ClassCounts {
        match class {
            Class::Interactive => &self.interactive,
            Class::Batch => &self.batch,
        }
    }
}

impl AddAssign for ClassCounts {
    fn add_assign(&mut self, other: Self) {
        self.ready += other.ready;
        self.in_flight += other.in_flight;
        self.behind_session += other.behind_session;
        self.retry_wait += other.retry_wait;
        self.provider_wait += other.provider_wait;
    }
}

impl Sub for ClassCounts {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self {
            ready: self.ready - other.ready,
            in_flight: self.in_flight - other.in_flight,
            behind_session: self.behind_session - other.behind_session,
            retry_wait: self.retry_wait - other.retry_wait,
            provider_wait: self.provider_wait - other.provider_wait,
        }
    }
}

impl Sub for LaneCounts {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self {
            interactive: self.interactive - other.interactive,
            batch: self.batch - other.batch,
        }
    }
}
