//! What a commit changes in the index of deferred heads.

use crate::{
    account::AccountKey,
    class::Class,
    ids::JobId,
    lane::{HeadState, Lane},
    time::TimeMs,
};

/// What a commit changes in the index of deferred heads. Nothing, for most commits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeferredChange {
    /// The entry of the lane's head before the commit, if the index has one that must go.
    pub remove: Option<DeferredEntry>,
    /// The entry of the lane's head after the commit, if the index must get one.
    pub add: Option<DeferredEntry>,
}

/// The entry of a lane in the index of deferred heads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeferredEntry {
    /// The job at the head.
    pub job: JobId,
    /// The account that the head waits for.
    pub account: AccountKey,
    /// The class of the head.
    pub class: Class,
    /// When the head entered its lane.
    pub admitted_at: TimeMs,
}

impl DeferredChange {
    /// The change from one state of a lane to the next.
    #[must_use]
    pub fn between(before: &Lane, after: &Lane) -> Self {
        let (remove, add) = (DeferredEntry::of(before), DeferredEntry::of(after));
        if remove == add {
            return Self::default();
        }
        Self { remove, add }
    }
}

impl DeferredEntry {
    /// The entry of a lane. `None` if the head is not deferred.
    #[must_use]
    pub fn of(lane: &Lane) -> Option<Self> {
        let head = lane.head()?;
        match lane.head_state()? {
            HeadState::Deferred(account, class) => Some(Self {
                job: head.job,
                account,
                class,
                admitted_at: head.admitted_at,
            }),
            HeadState::Ready(_) | HeadState::Waiting | HeadState::Running(_) => None,
        }
    }
}
