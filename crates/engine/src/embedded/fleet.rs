//! Presence and the sweeper's election, in memory. With this engine the fleet is one process, so this data need
//! not outlive the process.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use forebay_shared::{ids::ProcessId, time::TimeMs};

/// The age at which an announcement is deleted, so that the list does not grow.
const ANNOUNCEMENT_TTL_MS: u64 = 3_600_000;

/// The processes that are alive, and the elected sweeper.
#[derive(Debug, Default)]
pub(super) struct MemoryFleet {
    members: Mutex<Members>,
}

#[derive(Debug, Default)]
struct Members {
    /// The time of each process's last announcement.
    announced_at: HashMap<ProcessId, TimeMs>,
    /// The sweeper and when its election ends.
    sweeper: Option<(ProcessId, TimeMs)>,
}

impl MemoryFleet {
    fn members(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that `me` is alive. Returns the processes that announced themselves within `presence_ms`.
    pub(super) fn announce(
        &self,
        me: &ProcessId,
        presence_ms: u64,
        now: TimeMs,
    ) -> BTreeSet<ProcessId> {
        let mut members = self.members();
        members.announced_at.insert(me.clone(), now);
        members.announced_at.retain(|_, announced_at| {
            now.since_ms(*announced_at) < ANNOUNCEMENT_TTL_MS.max(presence_ms)
        });
        members
            .announced_at
            .iter()
            .filter(|(id, announced_at)| *id == me || now.since_ms(**announced_at) < presence_ms)
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// Deletes the announcement of `me`.
    pub(super) fn withdraw(&self, me: &ProcessId) {
        self.members().announced_at.remove(me);
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
    pub(super) fn step_down(&self, me: &ProcessId) {
        let mut members = self.members();
        if members.sweeper.as_ref().is_some_and(|(id, _)| id == me) {
            members.sweeper = None;
        }
    }
}
