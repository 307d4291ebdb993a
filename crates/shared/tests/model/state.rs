//! The state of the small world around one lane: what the store holds, what the broker holds, and how
//! far each process has come. Small values in place of real ones; times are `due`, `later`, `never`.

/// The most jobs of a configuration.
pub(crate) const JOBS: usize = 3;
/// The most slots of workers.
pub(crate) const SLOTS: usize = 2;
/// The most sweepers.
pub(crate) const SWEEPERS: usize = 2;
/// More copies of one wake than this are one as far as the world can tell.
pub(crate) const WAKES_MAX: u8 = 2;
/// The process whose name no living process bears any more.
pub(crate) const DEAD: u8 = SLOTS as u8;

/// What a queued entry waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Pause {
    #[default]
    None,
    RetryLater,
    RetryPassed,
    HoldLater,
    HoldPassed,
}

impl Pause {
    pub(crate) const fn is_later(self) -> bool {
        matches!(self, Self::RetryLater | Self::HoldLater)
    }

    /// The same pause when its moment has come.
    pub(crate) const fn passed(self) -> Self {
        match self {
            Self::RetryLater => Self::RetryPassed,
            Self::HoldLater => Self::HoldPassed,
            other => other,
        }
    }
}

/// What an entry does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Doing {
    Queued(Pause),
    /// The process that runs it, or [`DEAD`].
    Running(u8),
}

impl Default for Doing {
    fn default() -> Self {
        Self::Queued(Pause::None)
    }
}

/// What matters of a `forebay_shared::lane::Entry`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Entry {
    pub(crate) job: u8,
    pub(crate) fence: u8,
    pub(crate) settled: u8,
    pub(crate) tries: u8,
    pub(crate) doing: Doing,
    pub(crate) claimed: bool,
    pub(crate) results: bool,
    /// Whether its deadline has passed.
    pub(crate) overdue: bool,
}

/// What matters of a `forebay_shared::lane::Lane`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Lane {
    pub(crate) len: u8,
    pub(crate) slots: [Entry; JOBS],
    pub(crate) hold: Pause,
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

/// How far a job has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Life {
    #[default]
    Absent,
    Live,
    Completed,
    Failed,
    Cancelled,
    Expired,
}

/// When a job's timer fires.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Timer {
    #[default]
    None,
    /// Soon: at any moment.
    Later,
    /// Moved far off by `woken`: at any moment too, but what must be prompt cannot wait for it.
    Parked,
    /// At the deadline, whose coming nobody counts on.
    Never,
}

/// What is kept of a job beside its lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Job {
    pub(crate) life: Life,
    /// Of its record, once it has ended.
    pub(crate) fence: u8,
    /// So too.
    pub(crate) settled: u8,
    pub(crate) timer: Timer,
    /// Its wakes on the broker.
    pub(crate) wakes: u8,
}

/// How far somebody who publishes a wake has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Sending {
    #[default]
    Idle,
    /// A sweeper has read that the job's timer is due, and has not acted yet.
    Due,
    /// It is about to publish.
    Publish,
    /// The broker has confirmed; it is about to move the timer.
    Confirmed,
}

/// Somebody who publishes wakes: a gateway, a sweeper, a worker in the background.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Sender {
    pub(crate) sending: Sending,
    pub(crate) job: u8,
    /// Whether the job's timer still is the one that asked for this wake.
    pub(crate) fresh: bool,
}

impl Sender {
    /// Somebody who has to publish a wake that a commit just asked for.
    pub(crate) fn of(wake: Option<u8>) -> Self {
        wake.map_or_else(Self::default, |job| Self {
            sending: Sending::Publish,
            job,
            fresh: true,
        })
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.sending == Sending::Idle
    }
}

/// How a worker ends an attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Call {
    #[default]
    Finish,
    /// With tool calls in the reply.
    FinishWithTools,
    Fail,
    Retry,
    Release,
}

/// How far a slot of a worker has come with a wake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Phase {
    #[default]
    Idle,
    /// Has the wake and is about to claim.
    Got,
    /// Has claimed, asking for a fence, and the answer was lost.
    Asked,
    /// Calls the provider.
    Running,
    /// Has settled, and the answer was lost.
    Repeating,
    /// Is done but for the ack.
    Done,
}

/// A slot of a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Slot {
    pub(crate) phase: Phase,
    pub(crate) job: u8,
    pub(crate) fence: u8,
    /// A ghost: whether this is the newest attempt that was made at the job.
    pub(crate) newest: bool,
    /// A ghost: whether its context still is all that the session holds.
    pub(crate) context: bool,
    pub(crate) call: Call,
    /// Its background task, which wakes the next head.
    pub(crate) sender: Sender,
}

impl Slot {
    /// Whether a claim or a call of this fence is under way here.
    pub(crate) fn holds(&self, job: u8) -> bool {
        matches!(self.phase, Phase::Asked | Phase::Running | Phase::Repeating) && self.job == job
    }

    /// Forgets its wake; the background task goes on.
    pub(crate) fn rest(&mut self) {
        *self = Self {
            sender: self.sender,
            ..Self::default()
        };
    }
}

/// How often each thing that nobody wishes for may still happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Left {
    /// A worker is killed.
    pub(crate) crashes: u8,
    /// The broker loses a wake.
    pub(crate) losses: u8,
    /// The broker doubles a wake.
    pub(crate) doubles: u8,
    /// The answer to a claim or to a settling call is lost, or the request itself.
    pub(crate) answers: u8,
    /// A worker that lives is judged gone.
    pub(crate) absences: u8,
    /// Somebody cancels a job.
    pub(crate) cancels: u8,
    /// A deadline passes.
    pub(crate) expiries: u8,
    /// A job that has ended is admitted again.
    pub(crate) repairs: u8,
    /// A worker gives a job back.
    pub(crate) releases: u8,
}

/// The whole small world.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct State {
    pub(crate) lane: Lane,
    pub(crate) jobs: [Job; JOBS],
    /// How many jobs were submitted.
    pub(crate) submitted: u8,
    /// Who publishes the wake that the submit of each job asked for.
    pub(crate) gateways: [Sender; JOBS],
    /// The gateway at which somebody cancels and repairs.
    pub(crate) operator: Sender,
    pub(crate) sweepers: [Sender; SWEEPERS],
    pub(crate) slots: [Slot; SLOTS],
    pub(crate) left: Left,
}

impl State {
    pub(crate) fn job(&self, job: u8) -> &Job {
        &self.jobs[usize::from(job)]
    }

    pub(crate) fn job_mut(&mut self, job: u8) -> &mut Job {
        &mut self.jobs[usize::from(job)]
    }

    pub(crate) fn senders_mut(&mut self) -> impl Iterator<Item = &mut Sender> {
        self.gateways
            .iter_mut()
            .chain(std::iter::once(&mut self.operator))
            .chain(&mut self.sweepers)
            .chain(self.slots.iter_mut().map(|slot| &mut slot.sender))
    }

    /// Sets a timer; whatever was read of it before is stale from now on.
    pub(crate) fn set_timer(&mut self, job: u8, timer: Timer) {
        self.job_mut(job).timer = timer;
        for sender in self.senders_mut() {
            if sender.job == job {
                sender.fresh = false;
            }
        }
    }

    /// A wake reaches the broker.
    pub(crate) fn give_wake(&mut self, job: u8) {
        let wakes = &mut self.job_mut(job).wakes;
        *wakes = (*wakes + 1).min(WAKES_MAX);
    }

    /// Whether every job that was accepted has ended.
    pub(crate) fn is_settled(&self) -> bool {
        self.jobs.iter().all(|job| job.life != Life::Live)
    }
}
