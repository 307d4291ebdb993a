//! The lanes whose heads this process runs, as of the last commits of this process.
//!
//! Most of these lanes do not change until the attempt at their head ends. So the commit that ends the attempt uses the
//! cached lane instead of a load. If the cached lane is outdated, the compare-and-set of the commit fails.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use forebay_shared::{
    ids::LaneKey,
    lane::{HeadState, Lane},
    store::{LaneVersion, LoadedLane},
};

/// The most lanes that are cached. A worker has at most this many slots. A lane stays in the cache if its attempt ends without
/// a commit of this process, so a full cache is cleared.
const LANES_MAX: usize = 100_000;

/// The lanes whose heads this process runs.
#[derive(Default)]
pub(super) struct LaneCache {
    lanes: Mutex<HashMap<LaneKey, (Lane, LaneVersion)>>,
}

impl LaneCache {
    /// Caches a lane that was just committed, if its head runs.
    pub(super) fn insert(&self, key: &LaneKey, lane: Lane, version: LaneVersion) {
        if !matches!(lane.head_state(), Some(HeadState::Running(_))) {
            return;
        }
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if lanes.len() >= LANES_MAX {
            lanes.clear();
        }
        lanes.insert(key.clone(), (lane, version));
    }

    /// Removes a lane from the cache and returns it.
    pub(super) fn take(&self, key: &LaneKey) -> Option<LoadedLane> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let (lane, version) = lanes.remove(key)?;
        Some(LoadedLane {
            lane,
            version: Some(version),
            ..LoadedLane::default()
        })
    }
}
