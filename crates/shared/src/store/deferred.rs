//! What a commit changes in the index of deferred heads, and in the counts of the jobs behind them.

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
    /// How the numbers of jobs behind deferred heads change, at most two changes. A store applies them in this order, after
    /// it has changed the index.
    pub behind: Vec<BehindChange>,
}

/// How the number of jobs behind the deferred heads of an account and class changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BehindChange {
    /// The account that the heads wait for.
    pub account: AccountKey,
    /// The class of the heads. The jobs behind them may have another class.
    pub class: Class,
    /// How many jobs more; negative for fewer, never 0.
    pub jobs: i64,
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
    /// Whether a worker has claimed the job since its admission.
    pub claimed: bool,
    /// The number of jobs behind the head in its lane. They wait for the account too. The index does not contain this number.
    pub behind: usize,
}

impl DeferredChange {
    /// The change from one state of a lane to the next.
    #[must_use]
    pub fn between(before: &Lane, after: &Lane) -> Self {
        let (remove, add) = (DeferredEntry::of(before), DeferredEntry::of(after));
        if let (Some(old), Some(new)) = (&remove, &add)
            && old.is_same_head(new)
        {
            let change = new.behind_change(signed(new.behind) - signed(old.behind));
            return Self {
                behind: change.into_iter().collect(),
                ..Self::default()
            };
        }
        // Two changes, even for the same account: the jobs behind the head that leaves the index, and those behind the head that
        // enters it. A store may reset the number of an account when its last head leaves the index.
        let fewer = remove.as_ref().map(|entry| (entry, -signed(entry.behind)));
        let more = add.as_ref().map(|entry| (entry, signed(entry.behind)));
        let changes = fewer.into_iter().chain(more);
        Self {
            behind: changes
                .filter_map(|(entry, jobs)| entry.behind_change(jobs))
                .collect(),
            remove,
            add,
        }
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
                claimed: head.claimed,
                behind: lane.entries.len() - 1,
            }),
            HeadState::Ready(_) | HeadState::Waiting | HeadState::Running(_) => None,
        }
    }

    /// Whether both are the same entry of the index, which does not contain `behind`.
    fn is_same_head(&self, other: &Self) -> bool {
        let behind = self.behind;
        *self
            == Self {
                behind,
                ..other.clone()
            }
    }

    fn behind_change(&self, jobs: i64) -> Option<BehindChange> {
        (jobs != 0).then(|| BehindChange {
            account: self.account.clone(),
            class: self.class,
            jobs,
        })
    }
}

/// A number of jobs of a lane, at most [`LANE_MAX`](crate::lane::LANE_MAX), as a signed number.
fn signed(jobs: usize) -> i64 {
    i64::try_from(jobs).unwrap_or(i64::MAX)
}
