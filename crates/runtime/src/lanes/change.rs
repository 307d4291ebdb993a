//! A change of a lane, with the documents that its commit writes, and the result of the change.

use std::sync::Arc;

use super::change_data::{AdmitOptions, AttemptOutput, ClaimKey, ProviderWait, RetryOptions};
use crate::byte_budget::ReservedBytes;
use forebay_shared::{
    ids::{JobId, LaneKey, ProcessId},
    job::{JobError, JobMeta},
    lane::{Admit, Event, IfBusy, LiveProcesses, ReleaseReason},
    store::{LoadedLane, LoadedRunInputs, NewJob, Timer},
    time::TimeMs,
    wake::WakePermit,
};

/// A change to make to a lane.
#[derive(Debug)]
pub struct LaneChange {
    pub(super) lane: LaneKey,
    pub(super) action: Action,
    pub(super) reserved: Option<ReservedBytes>,
}

/// What happens to the lane. Each variant carries the documents that its commit writes.
#[derive(Debug)]
pub(super) enum Action {
    /// A gateway accepts a job.
    Admit {
        job: Arc<NewJob>,
        options: AdmitOptions,
    },
    /// A gateway admits a job again that has ended.
    Repair {
        /// The metadata that replaces the job's.
        meta: Arc<JobMeta>,
        /// The fence of the outcome that is removed.
        fence: u64,
    },
    /// A worker takes the head.
    Claim {
        job: JobId,
        worker: ProcessId,
        /// The time limit of the claim, in milliseconds.
        limit_ms: u64,
        /// The claim is not made if the run inputs of the job have more bytes as stored.
        inputs_bytes_max: u64,
        /// The fence of an earlier request for this claim whose response was lost.
        repeated_fence: Option<u64>,
        /// The copy of the lane that the wake carried, if it carried one.
        lane_copy: Option<Box<LoadedLane>>,
    },
    /// An attempt ends its job with a reply.
    Complete {
        job: JobId,
        fence: u64,
        /// How long user messages wait for tool results, in milliseconds.
        hold_ms: Option<u64>,
        output: Arc<AttemptOutput>,
    },
    /// An attempt ends its job without a reply.
    Fail {
        job: JobId,
        fence: u64,
        error: JobError,
        provider: Option<String>,
    },
    /// An attempt failed, and the job may be tried again.
    Retry {
        job: JobId,
        fence: u64,
        options: RetryOptions,
    },
    /// The provider may not be called, so the job waits for its account.
    Defer {
        job: JobId,
        /// The fence of the attempt that ends; `None` for a job that was not claimed.
        fence: Option<u64>,
        wait: ProviderWait,
    },
    /// The sweeper has a permit for a deferred job. The job's wake carries it.
    Resume { job: JobId, permit: WakePermit },
    /// A worker gives its job back.
    Release {
        job: JobId,
        fence: u64,
        reason: ReleaseReason,
    },
    /// A client cancels the job.
    Cancel { job: JobId },
    /// The job's timer is due.
    Tick {
        /// The time of the timer that was read.
        timer: TimeMs,
        job: JobId,
        live: Option<LiveProcesses>,
    },
}

impl LaneChange {
    /// Admits a new job.
    #[must_use]
    pub fn admit(job: impl Into<Arc<NewJob>>, options: AdmitOptions) -> Self {
        let job = job.into();
        let lane = job.meta.lane();
        Self::new(lane, Action::Admit { job, options })
    }

    /// Admits a job again that has ended with an outcome of this fence. `meta` replaces its metadata.
    #[must_use]
    pub fn repair(meta: Arc<JobMeta>, fence: u64) -> Self {
        let lane = meta.lane();
        Self::new(lane, Action::Repair { meta, fence })
    }

    /// Keeps the memory of the change reserved until the change has its result.
    #[must_use]
    pub fn with_reserved(mut self, reserved: ReservedBytes) -> Self {
        self.reserved = Some(reserved);
        self
    }

    /// Claims the head of a lane for a worker, for at most `limit_ms`, if its run inputs have at most `inputs_bytes_max` bytes
    /// as stored.
    #[must_use]
    pub const fn claim(
        lane: LaneKey,
        job: JobId,
        worker: ProcessId,
        limit_ms: u64,
        inputs_bytes_max: u64,
    ) -> Self {
        let claim = Action::Claim {
            job,
            worker,
            limit_ms,
            inputs_bytes_max,
            repeated_fence: None,
            lane_copy: None,
        };
        Self::new(lane, claim)
    }

    /// Makes a claim without reading the lane first, if the lane still is as this copy. Has no effect on other changes.
    #[must_use]
    pub fn with_lane_copy(mut self, copy: Option<LoadedLane>) -> Self {
        if let Action::Claim { lane_copy, .. } = &mut self.action {
            *lane_copy = copy.map(Box::new);
        }
        self
    }

    /// Completes the job of a claim. `hold_ms` is how long user messages wait for the results of the tools that the
    /// reply calls. It is ignored for a job without a session, because no client can send results to such a job.
    #[must_use]
    pub fn complete(claim: ClaimKey, hold_ms: Option<u64>, output: Arc<AttemptOutput>) -> Self {
        let ClaimKey { lane, job, fence } = claim;
        let hold_ms = hold_ms.filter(|_| lane.session().is_some());
        let complete = Action::Complete {
            job,
            fence,
            hold_ms,
            output,
        };
        Self::new(lane, complete)
    }

    /// Fails the job of a claim. `provider` is the provider that was called, if one was.
    #[must_use]
    pub fn fail(claim: ClaimKey, error: JobError, provider: Option<String>) -> Self {
        let ClaimKey { lane, job, fence } = claim;
        let fail = Action::Fail {
            job,
            fence,
            error,
            provider,
        };
        Self::new(lane, fail)
    }

    /// Ends a claim. The job is queued again, or fails if its tries are used up.
    #[must_use]
    pub fn retry(claim: ClaimKey, options: RetryOptions) -> Self {
        let ClaimKey { lane, job, fence } = claim;
        let retry = Action::Retry {
            job,
            fence,
            options,
        };
        Self::new(lane, retry)
    }

    /// Ends a claim whose call the provider refused, or an account denied. The job waits for the provider, and no try is counted.
    #[must_use]
    pub fn defer_claimed(claim: ClaimKey, wait: ProviderWait) -> Self {
        let ClaimKey { lane, job, fence } = claim;
        let defer = Action::Defer {
            job,
            fence: Some(fence),
            wait,
        };
        Self::new(lane, defer)
    }

    /// Lets a queued head wait for its provider, without a claim.
    #[must_use]
    pub fn defer(lane: LaneKey, job: JobId, wait: ProviderWait) -> Self {
        let defer = Action::Defer {
            job,
            fence: None,
            wait,
        };
        Self::new(lane, defer)
    }

    /// Wakes a deferred head. The caller has taken the permit for it.
    #[must_use]
    pub const fn resume(lane: LaneKey, job: JobId, permit: WakePermit) -> Self {
        Self::new(lane, Action::Resume { job, permit })
    }

    /// Ends a claim without an outcome. The job is queued again, and no try is counted.
    #[must_use]
    pub fn release(claim: ClaimKey, reason: ReleaseReason) -> Self {
        let ClaimKey { lane, job, fence } = claim;
        let release = Action::Release { job, fence, reason };
        Self::new(lane, release)
    }

    /// Cancels a job, running or not.
    #[must_use]
    pub const fn cancel(lane: LaneKey, job: JobId) -> Self {
        Self::new(lane, Action::Cancel { job })
    }

    /// Acts on a timer that is due. `live` holds the live processes. With `None`, the tick treats no worker as gone.
    #[must_use]
    pub fn tick(timer: Timer, live: Option<LiveProcesses>) -> Self {
        let tick = Action::Tick {
            timer: timer.at,
            job: timer.job,
            live,
        };
        Self::new(timer.lane, tick)
    }

    const fn new(lane: LaneKey, action: Action) -> Self {
        Self {
            lane,
            action,
            reserved: None,
        }
    }
}

impl Action {
    /// The job that changes.
    pub(super) fn job(&self) -> JobId {
        match self {
            Self::Admit { job, .. } => job.meta.id,
            Self::Repair { meta, .. } => meta.id,
            Self::Claim { job, .. }
            | Self::Complete { job, .. }
            | Self::Fail { job, .. }
            | Self::Retry { job, .. }
            | Self::Defer { job, .. }
            | Self::Resume { job, .. }
            | Self::Release { job, .. }
            | Self::Cancel { job }
            | Self::Tick { job, .. } => *job,
        }
    }

    /// The event for the rules of the lane.
    pub(super) fn event(&self) -> Event {
        match self {
            Self::Admit { job, options } => Event::Admit(Admit {
                job: job.meta.id,
                class: job.meta.class,
                model: Some(job.meta.model.clone()),
                deadline: job.meta.expires_at,
                is_tool_results: options.is_tool_results,
                if_busy: options.if_busy,
                is_repair: false,
            }),
            Self::Repair { meta, .. } => Event::Admit(Admit {
                job: meta.id,
                class: meta.class,
                model: Some(meta.model.clone()),
                deadline: meta.expires_at,
                is_tool_results: meta.is_tool_results,
                if_busy: IfBusy::Enqueue,
                is_repair: true,
            }),
            Self::Claim {
                job,
                worker,
                limit_ms,
                repeated_fence,
                ..
            } => Event::Claim {
                job: *job,
                worker: worker.clone(),
                repeated_fence: *repeated_fence,
                limit_ms: *limit_ms,
            },
            Self::Complete {
                job,
                fence,
                hold_ms,
                ..
            } => Event::Finish {
                job: *job,
                fence: *fence,
                error: None,
                hold_ms: *hold_ms,
            },
            Self::Fail {
                job, fence, error, ..
            } => Event::Finish {
                job: *job,
                fence: *fence,
                error: Some(error.clone()),
                hold_ms: None,
            },
            Self::Retry {
                job,
                fence,
                options,
            } => Event::Retry {
                job: *job,
                fence: *fence,
                not_before: options.not_before,
                tries_max: options.tries_max,
                error: options.error.clone(),
            },
            Self::Defer { job, fence, wait } => Event::Defer {
                job: *job,
                fence: *fence,
                account: wait.account.clone(),
                error: wait.error.clone(),
            },
            Self::Resume { job, .. } => Event::Resume { job: *job },
            Self::Release { job, fence, reason } => Event::Release {
                job: *job,
                fence: *fence,
                reason: *reason,
            },
            Self::Cancel { job } => Event::Cancel { job: *job },
            Self::Tick { job, live, .. } => Event::Tick {
                job: *job,
                live: live.clone(),
            },
        }
    }

    /// Takes the copy of the lane that came with the wake of a claim.
    pub(super) fn take_lane_copy(&mut self) -> Option<LoadedLane> {
        match self {
            Self::Claim { lane_copy, .. } => lane_copy.take().map(|copy| *copy),
            _ => None,
        }
    }

    /// The bytes of the job's run inputs, if this is a claim and they are more than it allows.
    pub(super) fn needs_bytes(&self, loaded: &LoadedLane) -> Option<u64> {
        match (self, &loaded.run_inputs) {
            (
                Self::Claim {
                    inputs_bytes_max, ..
                },
                Some(LoadedRunInputs::LeftOut { bytes }),
            ) if bytes > inputs_bytes_max => Some(*bytes),
            _ => None,
        }
    }

    /// The provider that the attempt called, if the change completes, fails or retries the job.
    pub(super) fn provider(&self) -> Option<String> {
        match self {
            Self::Complete { output, .. } => output.provider.clone(),
            Self::Fail { provider, .. } => provider.clone(),
            Self::Retry { options, .. } => options.provider.clone(),
            _ => None,
        }
    }
}
