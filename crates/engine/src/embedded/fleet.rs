//! Presence and the sweeper's election, in memory. With this engine the fleet is one process, so this data need
//! not outlive the process.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use forebay_shared::{ids::ProcessId, time::TimeMs};

/// The age, in milliseconds, at which the presence of a process is deleted, so that the list does not grow.
const DELETE_AFTER_MS: u64 = 3_600_000;

/// The processes that are alive, and the elected sweeper.
#[derive(Debug, Default)]
pub(super) struct MemoryFleet {
    members: Mutex<Members>,
}

#[derive(Debug, Default)]
struct Members {
    /// When each process last renewed its presence.
    renewed_at: HashMap<ProcessId, TimeMs>,
    /// The elected sweeper, and when its term ends.
    sweeper: Option<(ProcessId, TimeMs)>,
}

impl MemoryFleet {
    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Renews the presence of `me`. Returns the processes that renewed theirs within `presence_ttl_ms`.
    pub(super) fn renew_presence(
        &self,
        me: &ProcessId,
        presence_ttl_ms: u64,
        now: TimeMs,
    ) -> BTreeSet<ProcessId> {
        let mut members = self.members();
        members.renewed_at.insert(me.clone(), now);
        members.renewed_at.retain(|_, renewed_at| {
            now.since_ms(*renewed_at) < DELETE_AFTER_MS.max(presence_ttl_ms)
        });
        members
            .renewed_at
            .iter()
            .filter(|(id, renewed_at)| *id == me || now.since_ms(**renewed_at) < presence_ttl_ms)
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// Deletes the presence of `me`.
    pub(super) fn end_presence(&self, me: &ProcessId) {
        self.members().renewed_at.remove(me);
    }

    /// Elects `me` for the next `ttl_ms`, unless another process is elected. Returns whether `me` is elected.
    pub(super) fn elect_sweeper(&self, me: &ProcessId, ttl_ms: u64, now: TimeMs) -> bool {
        let mut members = self.members();
        let can_elect = match &members.sweeper {
            Some((elected, until)) => elected == me || *until <= now,
            None => true,
        };
        if can_elect {
            members.sweeper = Some((me.clone(), now.plus_ms(ttl_ms)));
        }
        can_elect
    }

    /// Ends the term of `me`, if it is elected.
    pub(super) fn end_term(&self, me: &ProcessId) {
        let mut members = self.members();
        if members.sweeper.as_ref().is_some_and(|(id, _)| id == me) {
            members.sweeper = None;
        }
    }
}
