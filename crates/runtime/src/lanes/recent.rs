//! The lanes whose heads this process runs, as it committed them last.
//!
//! Most of them do not change until their attempt ends, so the commit that ends it needs no load: it
//! is tried on what is remembered, and its compare-and-set says if that was out of date.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use forebay_shared::{
    ids::LaneKey,
    lane::{HeadState, Lane},
    store::{LaneVersion, LoadedLane},
};

/// The most lanes remembered: as many as a worker can run. Those of attempts that ended without a commit
/// (cancelled by another process, say) stay behind; when they fill the place, all are forgotten.
const LANES_MAX: usize = 100_000;

/// The lanes whose heads this process runs.
#[derive(Default)]
pub(super) struct Recent {
    lanes: Mutex<HashMap<LaneKey, (Lane, LaneVersion)>>,
}

impl Recent {
    /// Remembers a lane that was just committed, if its head runs.
    pub(super) fn keep(&self, key: &LaneKey, lane: &Lane, token: LaneVersion) {
        if !matches!(lane.head_state(), Some(HeadState::Running(_))) {
            return;
        }
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if lanes.len() >= LANES_MAX {
            lanes.clear();
        }
        lanes.insert(key.clone(), (lane.clone(), token));
    }

    /// What is remembered of a lane, which is forgotten with that.
    pub(super) fn take(&self, key: &LaneKey) -> Option<LoadedLane> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        let (lane, token) = lanes.remove(key)?;
        Some(LoadedLane {
            lane,
            version: Some(token),
            ..LoadedLane::default()
        })
    }
}
