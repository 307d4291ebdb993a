//! The state of the modelled fleet: what the store holds, what the broker holds, and what each process does.
//!
//! Small values stand for real ones. The model has no clock: each time either has passed or is still to come.

/// The maximum number of jobs in a configuration.
pub(crate) const JOBS: usize = 3;
/// The number of worker slots.
pub(crate) const SLOTS: usize = 2;
/// The maximum number of sweepers in a configuration.
pub(crate) const SWEEPERS: usize = 2;
/// The maximum number of copies of one wake that are counted. Further copies make no difference.
pub(crate) const WAKES_MAX: u8 = 2;
/// The number that stands for any process that has died.
pub(crate) const DEAD: u8 = SLOTS as u8;

/// The `not_before` of a queued entry: whether a retry or a hold has set it, and whether its time has passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum NotBefore {
    #[default]
    None,
    RetryLater,
    RetryPassed,
    HoldLater,
    HoldPassed,
}

impl NotBefore {
    pub(crate) const fn is_still_to_come(self) -> bool {
        matches!(self, Self::RetryLater | Self::HoldLater)
    }

    /// The same `not_before` after its time has passed.
    pub(crate) const fn passed(self) -> Self {
        match self {
            Self::RetryLater => Self::RetryPassed,
            Self::HoldLater => Self::HoldPassed,
            other => other,
        }
    }
}

/// The state of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum EntryState {
    Queued(NotBefore),
    /// The job waits for its provider. `is_wait_over`: whether its longest wait has passed.
    Deferred {
        is_wait_over: bool,
    },
    /// The process that runs the job, or [`DEAD`].
    Running(u8),
}

impl Default for EntryState {
    fn default() -> Self {
        Self::Queued(NotBefore::None)
    }
}

/// The part of a `forebay_shared::lane::Entry` that the model needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Entry {
    pub(crate) job: u8,
    pub(crate) fence: u8,
    pub(crate) settled_fence: u8,
    pub(crate) tries: u8,
    pub(crate) state: EntryState,
    pub(crate) claimed: bool,
    pub(crate) is_tool_results: bool,
    /// Whether the job's deadline has passed.
    pub(crate) is_past_deadline: bool,
}

/// The part of a `forebay_shared::lane::Lane` that the model needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Lane {
    /// The number of live jobs.
    pub(crate) len: u8,
    /// The entries of the live jobs, followed by unused default entries.
    pub(crate) buffer: [Entry; JOBS],
    pub(crate) hold: NotBefore,
}

impl Lane {
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.buffer[..usize::from(self.len)]
    }

    pub(crate) fn entries_mut(&mut self) -> &mut [Entry] {
        &mut self.buffer[..usize::from(self.len)]
    }

    pub(crate) fn find(&self, job: u8) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.job == job)
    }

    pub(crate) fn find_mut(&mut self, job: u8) -> Option<&mut Entry> {
        self.entries_mut().iter_mut().find(|entry| entry.job == job)
    }

    pub(crate) fn is_head(&self, job: u8) -> bool {
        self.entries().first().is_some_and(|head| head.job == job)
    }
}

/// Whether a job exists and is live, and how it ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum JobStatus {
    #[default]
    /// The job was not submitted, or its submit was refused.
    Absent,
    Live,
    Completed,
    Failed,
    Cancelled,
    Expired,
}

/// The timer of a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Timer {
    #[default]
    None,
    /// The timer may be due at any time.
    MayBeDue,
    /// The timer is parked. It may be due at any time. With `liveness_ignores_parked_timers`, liveness must not depend on
    /// such a timer.
    Parked,
    /// The timer is at the deadline, so it is not due before the deadline has passed. Liveness must not depend on
    /// such a timer.
    AtDeadline,
}

/// The outcome of a job that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Outcome {
    pub(crate) status: JobStatus,
    /// The newest fence of the job.
    pub(crate) fence: u8,
    /// The fence of the newest settlement that took effect; 0 if there is none.
    pub(crate) settled_fence: u8,
}

/// The stored state of a job outside its lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Job {
    pub(crate) status: JobStatus,
    /// The newest fence in the job's outcome; 0 while the job is live.
    pub(crate) fence: u8,
    /// The settled fence in the job's outcome; 0 while the job is live.
    pub(crate) settled_fence: u8,
    pub(crate) timer: Timer,
    /// The number of copies of the job's wake on the broker.
    pub(crate) wakes: u8,
}

/// What a publisher of wakes has done last. This decides what it does next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum PublisherPhase {
    #[default]
    Idle,
    /// A sweeper has read a due timer and acts on it next.
    DueTimerRead,
    /// A commit has requested a wake. The publisher publishes it next.
    WakeRequested,
    /// The broker has confirmed the wake. The publisher parks the timer next.
    WakeConfirmed,
}

/// A publisher of wakes: a gateway, a sweeper, or the background task of a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WakePublisher {
    pub(crate) phase: PublisherPhase,
    pub(crate) job: u8,
    /// Whether the job's timer has not changed since this wake was requested or the due timer was read.
    pub(crate) timer_is_unchanged: bool,
}

impl WakePublisher {
    /// The publisher of the wake that a commit requested, or an idle publisher if there is no such wake.
    pub(crate) fn for_wake(wake: Option<u8>) -> Self {
        wake.map_or_else(Self::default, |job| Self {
            phase: PublisherPhase::WakeRequested,
            job,
            timer_is_unchanged: true,
        })
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.phase == PublisherPhase::Idle
    }
}

/// How a worker settles an attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Settlement {
    #[default]
    Finish,
    /// A finish with tool calls in the reply.
    FinishWithTools,
    Fail,
    Retry,
    /// The provider refused the call, so the job waits for the provider, and no try is counted.
    Defer,
    Release,
}

/// What a worker slot has done last. This decides what it does next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum SlotPhase {
    #[default]
    Idle,
    /// The slot has a wake and claims next.
    WakeReceived,
    /// The response to the claim was lost. The slot repeats the claim next.
    ClaimUnanswered,
    /// The slot calls the provider and settles next.
    Running,
    /// The response to the settlement was lost. The slot repeats the settlement next.
    SettlementUnanswered,
    /// The slot acknowledges the wake next.
    AckPending,
}

/// A slot of a worker, which runs one job at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WorkerSlot {
    pub(crate) phase: SlotPhase,
    pub(crate) job: u8,
    pub(crate) fence: u8,
    /// Ghost variable: whether this is the newest attempt at the job.
    pub(crate) is_newest_attempt: bool,
    /// Ghost variable: whether the claim has read all turns that the session has now.
    pub(crate) has_all_turns: bool,
    /// The settlement that the slot repeats.
    pub(crate) settlement: Settlement,
    /// The background task that publishes the wake of the next head.
    pub(crate) publisher: WakePublisher,
}

impl WorkerSlot {
    /// Whether this slot may have a fence of the job.
    pub(crate) fn may_have_fence_of(&self, job: u8) -> bool {
        matches!(
            self.phase,
            SlotPhase::ClaimUnanswered | SlotPhase::Running | SlotPhase::SettlementUnanswered
        ) && self.job == job
    }

    /// Makes the slot idle. Its background task continues.
    pub(crate) fn reset(&mut self) {
        *self = Self {
            publisher: self.publisher,
            ..Self::default()
        };
    }
}

/// A number for each kind of fault. In the model, a fault is any event that a configuration permits only a few times. A
/// cancel is a fault too, although nothing goes wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FaultCounts {
    /// A worker is killed.
    pub(crate) crashes: u8,
    /// The broker loses a wake.
    pub(crate) lost_wakes: u8,
    /// The broker duplicates a wake.
    pub(crate) duplicated_wakes: u8,
    /// A claim is lost, or the response to a claim, a settlement or a deferral.
    pub(crate) lost_responses: u8,
    /// A live worker counts as gone.
    pub(crate) live_counted_as_gone: u8,
    /// A client cancels a job.
    pub(crate) cancels: u8,
    /// A deadline passes.
    pub(crate) expiries: u8,
    /// A job that has ended is admitted again.
    pub(crate) repairs: u8,
    /// A worker releases a job.
    pub(crate) releases: u8,
    /// A provider may not be called, so a worker defers a job.
    pub(crate) deferrals: u8,
}

/// The state of the modelled fleet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct State {
    pub(crate) lane: Lane,
    pub(crate) jobs: [Job; JOBS],
    /// The number of submits so far, which is the number of the next job.
    pub(crate) submitted: u8,
    /// For each job, the gateway that publishes the wake of its admission.
    pub(crate) gateways: [WakePublisher; JOBS],
    /// The gateway that cancels and repairs jobs, and then publishes a wake.
    pub(crate) cancel_and_repair_gateway: WakePublisher,
    pub(crate) sweepers: [WakePublisher; SWEEPERS],
    pub(crate) slots: [WorkerSlot; SLOTS],
    /// How often each fault may still happen.
    pub(crate) faults_left: FaultCounts,
}

impl State {
    pub(crate) fn job(&self, job: u8) -> &Job {
        &self.jobs[usize::from(job)]
    }

    pub(crate) fn job_mut(&mut self, job: u8) -> &mut Job {
        &mut self.jobs[usize::from(job)]
    }

    pub(crate) fn publishers_mut(&mut self) -> impl Iterator<Item = &mut WakePublisher> {
        self.gateways
            .iter_mut()
            .chain(std::iter::once(&mut self.cancel_and_repair_gateway))
            .chain(&mut self.sweepers)
            .chain(self.slots.iter_mut().map(|slot| &mut slot.publisher))
    }

    /// Sets a timer. Marks the timer as changed in every publisher that acts on this job.
    pub(crate) fn set_timer(&mut self, job: u8, timer: Timer) {
        self.job_mut(job).timer = timer;
        for publisher in self.publishers_mut() {
            if publisher.job == job {
                publisher.timer_is_unchanged = false;
            }
        }
    }

    /// Adds a copy of a wake to the broker.
    pub(crate) fn add_wake(&mut self, job: u8) {
        let wakes = &mut self.job_mut(job).wakes;
        *wakes = (*wakes + 1).min(WAKES_MAX);
    }

    /// Whether every job that was accepted has ended.
    pub(crate) fn all_jobs_have_ended(&self) -> bool {
        self.jobs.iter().all(|job| job.status != JobStatus::Live)
    }
}
