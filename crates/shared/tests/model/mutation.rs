//! The faults that a world may plant into the protocol.

/// A part of the protocol that is left out or done wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutation {
    /// Any attempt counts as the newest.
    NoFence,
    /// No timer is due before the deadline.
    NoTimers,
    /// A job that becomes the head because another job left keeps its old timer.
    NewHeadKeepsItsTimer,
    /// A timer that `woken` moved is not due before the deadline.
    ParkedTimersNeverFire,
    /// A running job is checked only once.
    RunningIsLookedAtOnce,
    /// A release lowers the fence again.
    FenceFallsAtRelease,
    /// A repaired job begins without a fence, like a new one.
    RepairStartsAnew,
    /// A repaired job keeps the fence that it had.
    RepairKeepsTheFence,
    /// A repaired job counts as claimed.
    RepairKeepsTheClaim,
    /// The fence that settled a job is not recorded.
    NoSettled,
    /// Tool results go before a queued head although an attempt at it may still finish.
    ResultsDisplaceClaimedHead,
    /// A process does not check whether it already runs a job.
    NoTable,
    /// A running job is taken only from a worker that is gone.
    NoUntil,
    /// A repeated claim is taken for a new claim.
    NoOwnClaim,
    /// A confirmed wake moves the timer even if the timer has changed since.
    WokenMovesAnyTimer,
    /// A claim that comes too early does not move the timer.
    RefusedClaimLeavesTimer,
    /// Tick does not end the wait of the head that it wakes.
    TickLeavesThePause,
}
