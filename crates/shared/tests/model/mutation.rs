//! The defects that a configuration can add to the protocol. The search must find the failure that each one causes.

/// A defect of the protocol: a part that is left out or done wrong. A fault, such as a crash, is not a defect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mutation {
    /// The settlement of any attempt is applied with the newest fence.
    SettlementsIgnoreTheFence,
    /// No timer is due before the deadline.
    TimersFireOnlyAtTheDeadline,
    /// A job that becomes the head because another job left keeps its old timer.
    NewHeadKeepsItsTimer,
    /// A parked timer is not due before the deadline.
    ParkedTimersNeverFire,
    /// A running job is checked only once.
    RunningJobIsCheckedOnlyOnce,
    /// A release lowers the fence by 1.
    FenceFallsAtRelease,
    /// The fence of a repaired job begins at 0 again.
    RepairResetsTheFence,
    /// The fence of a repaired job does not rise.
    RepairKeepsTheFence,
    /// A repaired job counts as claimed before any worker has claimed it.
    RepairKeepsTheClaimedFlag,
    /// The fence that settled an attempt is not recorded.
    SettledFenceIsNotRecorded,
    /// Tool results go before a queued head although an attempt at it may still finish.
    ResultsDisplaceClaimedHead,
    /// A process that receives a wake does not check whether it runs the job already.
    ProcessRunsAJobTwice,
    /// A live worker keeps its job after the time limit of the claim.
    ClaimsHaveNoTimeLimit,
    /// A repeated claim counts as a new claim.
    RepeatedClaimCountsAsNew,
    /// A confirmed wake moves the timer even if the timer has changed since.
    ParkMovesAChangedTimer,
    /// A claim that comes too early does not set the timer.
    EarlyClaimLeavesTheTimer,
    /// A job that a worker runs can be deferred by a worker with a wake.
    RunningHeadIsDeferred,
    /// A deferral removes the job's timer.
    DeferralRemovesTheTimer,
    /// A deferred job counts as never claimed.
    DeferralClearsTheClaimedFlag,
    /// The fence of an attempt that ends with a deferral is not recorded.
    DeferralIsNotRecorded,
    /// The sweeper resumes no deferred job.
    DeferredJobsAreNeverResumed,
    /// Tick does not remove the `not_before` of the head that it wakes.
    TickKeepsNotBefore,
}
