//! The state of a world: what the store holds, what the broker holds, and the next step of each process. Small
//! values stand for real ones. A time is due, later or never.

/// The most jobs of a configuration.
pub(crate) const JOBS: usize = 3;
/// The number of worker slots.
pub(crate) const SLOTS: usize = 2;
/// The most sweepers.
pub(crate) const SWEEPERS: usize = 2;
/// Further copies of one wake make no difference.
pub(crate) const WAKES_MAX: u8 = 2;
/// A process that has died.
pub(crate) const DEAD: u8 = SLOTS as u8;

/// The wait of a queued entry: for a retry or under a hold, still to come or passed.
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
    pub(crate) const fn is_later(self) -> bool {
        matches!(self, Self::RetryLater | Self::HoldLater)
    }

    /// The same wait when its time has come.
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
    /// The process that runs it, or [`DEAD`].
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
    pub(crate) settled: u8,
    pub(crate) tries: u8,
    pub(crate) state: EntryState,
    pub(crate) claimed: bool,
    pub(crate) results: bool,
    /// Whether its deadline has passed.
    pub(crate) overdue: bool,
}

/// The part of a `forebay_shared::lane::Lane` that the model needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Lane {
    pub(crate) len: u8,
    pub(crate) slots: [Entry; JOBS],
    pub(crate) hold: NotBefore,
}

impl Lane {
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.slots[..usize::from(self.len)]
    }

    pub(crate) fn entries_mut(&mut self) -> &mut [Entry] {
        &mut self.slots[..usize::from(self.len)]
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

/// Whether a job lives, and how it ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum JobLife {
    #[default]
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
    /// May be due at any time.
    Set,
    /// Moved into the future by `woken`. May be due at any time, but no prompt step may depend on it.
    Parked,
    /// At the deadline. Liveness must not depend on it.
    Never,
}

/// The stored state of a job outside its lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Job {
    pub(crate) life: JobLife,
    /// The fence in its record, once it has ended.
    pub(crate) fence: u8,
    /// The settling fence in its record, once it has ended.
    pub(crate) settled: u8,
    pub(crate) timer: Timer,
    /// The copies of its wake on the broker.
    pub(crate) wakes: u8,
}

/// The next step of a publisher of wakes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum PublishStep {
    #[default]
    Idle,
    /// A sweeper has read a due timer and has not acted yet.
    Due,
    /// It publishes next.
    Publish,
    /// The broker has confirmed. It moves the timer next.
    Confirmed,
}

/// A publisher of wakes: a gateway, a sweeper, or the background task of a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WakePublisher {
    pub(crate) step: PublishStep,
    pub(crate) job: u8,
    /// Whether the job's timer is still the one that asked for this wake.
    pub(crate) is_current: bool,
}

impl WakePublisher {
    /// A publisher of the wake that a commit asked for.
    pub(crate) fn of(wake: Option<u8>) -> Self {
        wake.map_or_else(Self::default, |job| Self {
            step: PublishStep::Publish,
            job,
            is_current: true,
        })
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.step == PublishStep::Idle
    }
}

/// How a worker settles an attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Settlement {
    #[default]
    Finish,
    /// With tool calls in the reply.
    FinishWithTools,
    Fail,
    Retry,
    Release,
}

/// The next step of a worker slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum AttemptPhase {
    #[default]
    Idle,
    /// Has a wake and claims next.
    Got,
    /// Has claimed with a fence, and the answer was lost.
    Asked,
    /// Calls the provider.
    Running,
    /// Has settled, and the answer was lost.
    Repeating,
    /// Acks next.
    Done,
}

/// A slot of a worker, which runs one job at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WorkerSlot {
    pub(crate) phase: AttemptPhase,
    pub(crate) job: u8,
    pub(crate) fence: u8,
    /// Ghost: whether this is the newest attempt at the job.
    pub(crate) is_newest_attempt: bool,
    /// Ghost: whether its context is still the whole session.
    pub(crate) context: bool,
    pub(crate) call: Settlement,
    /// Its background task, which publishes the wake of the next head.
    pub(crate) publisher: WakePublisher,
}

impl WorkerSlot {
    /// Whether this slot claims, runs or settles the job.
    pub(crate) fn holds(&self, job: u8) -> bool {
        matches!(
            self.phase,
            AttemptPhase::Asked | AttemptPhase::Running | AttemptPhase::Repeating
        ) && self.job == job
    }

    /// Becomes idle. The background task continues.
    pub(crate) fn reset(&mut self) {
        *self = Self {
            publisher: self.publisher,
            ..Self::default()
        };
    }
}

/// How often each fault may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct FaultsLeft {
    /// A worker is killed.
    pub(crate) crashes: u8,
    /// The broker loses a wake.
    pub(crate) losses: u8,
    /// The broker duplicates a wake.
    pub(crate) duplicates: u8,
    /// A claim or a settling call, or its answer, is lost.
    pub(crate) lost_answers: u8,
    /// A live worker is judged gone.
    pub(crate) false_absences: u8,
    /// A client cancels a job.
    pub(crate) cancels: u8,
    /// A deadline passes.
    pub(crate) expiries: u8,
    /// A job that has ended is admitted again.
    pub(crate) repairs: u8,
    /// A worker releases a job.
    pub(crate) releases: u8,
}

/// The state of the whole world.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct State {
    pub(crate) lane: Lane,
    pub(crate) jobs: [Job; JOBS],
    /// The number of jobs that were submitted.
    pub(crate) submitted: u8,
    /// For each job, the gateway that publishes the wake of its submit.
    pub(crate) gateways: [WakePublisher; JOBS],
    /// The gateway that cancels and repairs.
    pub(crate) operator: WakePublisher,
    pub(crate) sweepers: [WakePublisher; SWEEPERS],
    pub(crate) slots: [WorkerSlot; SLOTS],
    pub(crate) faults_left: FaultsLeft,
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
            .chain(std::iter::once(&mut self.operator))
            .chain(&mut self.sweepers)
            .chain(self.slots.iter_mut().map(|slot| &mut slot.publisher))
    }

    /// Sets a timer. Earlier reads of it are stale from now on.
    pub(crate) fn set_timer(&mut self, job: u8, timer: Timer) {
        self.job_mut(job).timer = timer;
        for publisher in self.publishers_mut() {
            if publisher.job == job {
                publisher.is_current = false;
            }
        }
    }

    /// A wake reaches the broker.
    pub(crate) fn add_wake(&mut self, job: u8) {
        let wakes = &mut self.job_mut(job).wakes;
        *wakes = (*wakes + 1).min(WAKES_MAX);
    }

    /// Whether every job that was accepted has ended.
    pub(crate) fn is_settled(&self) -> bool {
        self.jobs.iter().all(|job| job.life != JobLife::Live)
    }
}
