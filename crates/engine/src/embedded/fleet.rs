//! Presence and the sweeper's election, in memory: with this engine the fleet is one process, and
//! what it says of itself dies with it.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use forebay_shared::{ids::ProcessId, time::TimeMs};

/// Entries older than this are dropped, so that the list stays as short as the fleet.
const ENTRY_KEPT_MS: u64 = 3_600_000;

/// Who is there, and who sweeps.
#[derive(Debug, Default)]
pub(super) struct Fleet {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    seen_at: HashMap<ProcessId, TimeMs>,
    sweeper: Option<(ProcessId, TimeMs)>,
}

impl Fleet {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that `me` is there; who else was within the last `presence_ms`.
    pub(super) fn announce(
        &self,
        me: &ProcessId,
        presence_ms: u64,
        now: TimeMs,
    ) -> BTreeSet<ProcessId> {
        let mut state = self.state();
        state.seen_at.insert(me.clone(), now);
        state
            .seen_at
            .retain(|_, seen_at| now.since_ms(*seen_at) < ENTRY_KEPT_MS.max(presence_ms));
        state
            .seen_at
            .iter()
            .filter(|(id, seen_at)| *id == me || now.since_ms(**seen_at) < presence_ms)
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// Forgets `me`.
    pub(super) fn resign(&self, me: &ProcessId) {
        self.state().seen_at.remove(me);
    }

    /// Whether `me` sweeps for the next `ttl_ms`.
    pub(super) fn elect(&self, me: &ProcessId, ttl_ms: u64, now: TimeMs) -> bool {
        let mut state = self.state();
        let free = match &state.sweeper {
            Some((holder, until)) => holder == me || *until <= now,
            None => true,
        };
        if free {
            state.sweeper = Some((me.clone(), now.plus_ms(ttl_ms)));
        }
        free
    }

    /// Ends the election of `me`.
    pub(super) fn abdicate(&self, me: &ProcessId) {
        let mut state = self.state();
        if state.sweeper.as_ref().is_some_and(|(id, _)| id == me) {
            state.sweeper = None;
        }
    }
}
