//! Faults that are planted around `lane::apply`: in what it is given, in what is done with its answer,
//! or in the world. The production code knows nothing of them.

use forebay_shared::lane::{Event, IfBusy, Lane, Mark, State};

use crate::{
    protocol::{Change, number},
    state::{self, Doing, Timer},
};

/// Something that is left out of the protocol, or done wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutation {
    /// Any attempt passes for the newest.
    NoFence,
    /// No timer fires before the deadline.
    NoTimers,
    /// What becomes the head because another left keeps the timer that it had.
    NewHeadKeepsItsTimer,
    /// A timer that `woken` moved does not fire before the deadline.
    ParkedTimersNeverFire,
    /// A running job that was looked at once is not looked at again.
    RunningIsLookedAtOnce,
    /// A release takes the fence back.
    FenceFallsAtRelease,
    /// A repaired job begins with no fence, as a new one does.
    RepairStartsAnew,
    /// A repaired job goes on with the fence that it had.
    RepairKeepsTheFence,
    /// A repaired job passes for one that a worker took.
    RepairKeepsTheClaim,
    /// Nobody remembers which fence settled a job.
    NoSettled,
    /// Tool results go before a queued head although an attempt at it may still finish.
    ResultsDisplaceClaimedHead,
    /// A process does not look whether it has a job already.
    NoTable,
    /// A running job is taken only from a worker that is gone.
    NoUntil,
    /// The repeat of a claim is taken for another claim.
    NoOwnClaim,
    /// A confirmed wake moves the timer whatever it has become meanwhile.
    WokenMovesAnyTimer,
    /// A claim that comes too early leaves the timer where it is.
    RefusedClaimLeavesTimer,
    /// Tick leaves the pause of the head that it wakes where it is.
    TickLeavesThePause,
}

impl Mutation {
    /// What `apply` is told instead.
    pub(crate) fn before(self, lane: &mut Lane, record: &mut Option<Mark>, event: &mut Event) {
        match (self, event) {
            (
                Self::NoFence,
                Event::Finish { job, fence, .. }
                | Event::Retry { job, fence, .. }
                | Event::Release { job, fence },
            ) => {
                if let Some((_, entry)) = lane.find(*job) {
                    *fence = entry.fence;
                }
            }
            (Self::NoSettled, _) => {
                for entry in &mut lane.entries {
                    entry.settled = 0;
                }
                if let Some(mark) = record {
                    mark.settled = 0;
                }
            }
            (Self::ResultsDisplaceClaimedHead, Event::Admit(admit))
                if admit.tool_results && admit.if_busy == IfBusy::Enqueue =>
            {
                for entry in &mut lane.entries {
                    entry.claimed &= !matches!(entry.state, State::Queued { .. });
                }
            }
            (Self::NoOwnClaim, Event::Claim { asked, .. }) => *asked = None,
            _ => {}
        }
    }

    /// What is made of its answer.
    pub(crate) fn after(self, before: &state::Lane, event: &Event, change: &mut Change) {
        let about = number(event.job());
        let not_due = change.is_not_due();
        let timers = &mut change.timers;
        match (self, event) {
            (Self::NoTimers, _) => {
                for timer in timers.iter_mut().flatten() {
                    if *timer != Timer::None {
                        *timer = Timer::Never;
                    }
                }
            }
            (Self::NewHeadKeepsItsTimer, event) if !matches!(event, Event::Admit(_)) => {
                for (job, timer) in timers.iter_mut().enumerate() {
                    if job != usize::from(about) {
                        *timer = None;
                    }
                }
            }
            (Self::RunningIsLookedAtOnce, Event::Tick { .. }) => {
                if let Some(entry) = change.lane.find(about)
                    && matches!(entry.doing, Doing::Running(_))
                {
                    timers[usize::from(about)] = Some(Timer::Never);
                }
            }
            (Self::FenceFallsAtRelease, Event::Release { .. }) if change.lane != *before => {
                if let Some(entry) = change.lane.find_mut(about) {
                    entry.fence = entry.fence.saturating_sub(1);
                }
            }
            (_, Event::Admit(admit)) if admit.repair => {
                let Some(entry) = change.lane.find_mut(about) else {
                    return;
                };
                match self {
                    Self::RepairStartsAnew => (entry.fence, entry.settled) = (0, 0),
                    Self::RepairKeepsTheFence => entry.fence -= 1,
                    Self::RepairKeepsTheClaim => entry.claimed = true,
                    _ => {}
                }
            }
            (Self::ResultsDisplaceClaimedHead, Event::Admit(_)) => {
                for entry in change.lane.entries_mut() {
                    if let Some(was) = before.find(entry.job) {
                        entry.claimed = was.claimed;
                    }
                }
            }
            (Self::RefusedClaimLeavesTimer, Event::Claim { .. }) if not_due => {
                timers[usize::from(about)] = None;
            }
            (Self::TickLeavesThePause, Event::Tick { .. }) => {
                if let Some(was) = before.find(about)
                    && matches!(was.doing, Doing::Queued(_))
                    && let Some(entry) = change.lane.find_mut(about)
                {
                    entry.doing = was.doing;
                    change.lane.hold = before.hold;
                }
            }
            _ => {}
        }
    }
}
