//! Makes one commit of a batch of changes, and answers the callers.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{sync::oneshot, time::Instant};

use super::{
    applied::Applied,
    cache::LaneCache,
    change::{Action, LaneChange},
    draft::{CommitDraft, Decision, LaneSettings, TurnSum, Verdict},
    error::LaneError,
    failed_jobs::FailedJobsLog,
    head_wakes::HeadWakes,
    retry::{RetriedCommit, commit_with_retry, with_retry},
};
use crate::byte_budget::{ByteBudget, ReservedBytes};
use forebay_metrics::lanes::LaneMetrics;
use forebay_shared::{
    ids::{JobId, LaneKey},
    job::Request,
    lane::{ClaimResult, Lane, State},
    store::{INLINE_BYTES_MAX, LaneHead, LoadedLane, LoadedRunInputs, Store, StoreError},
    time::TimeMs,
    turn::Turn,
};
use forebay_telemetry::{TaskContext, task_context};

/// After this many conflicts, the changes of a batch fail with [`LaneError::Contended`].
const CONFLICTS_MAX: u32 = 100;

/// The result of one change.
pub(super) type ChangeResult = Result<Applied, LaneError>;

/// A change that waits for its commit.
pub(super) struct Pending {
    /// The change. Its memory is reserved until the change is answered.
    change: LaneChange,
    deadline: Instant,
    answer: oneshot::Sender<ChangeResult>,
    /// The request or the job that the caller works on, for log lines and traces.
    pub(super) context: TaskContext,
}

impl Pending {
    pub(super) fn new(
        change: LaneChange,
        deadline: Instant,
        answer: oneshot::Sender<ChangeResult>,
    ) -> Self {
        Self {
            change,
            deadline,
            answer,
            context: task_context::current(),
        }
    }

    /// Whether the caller still waits. If not, the change must not be made, because the caller no longer expects it.
    pub(super) fn is_awaited(&self) -> bool {
        !self.answer.is_closed() && Instant::now() < self.deadline
    }

    pub(super) const fn is_claim(&self) -> bool {
        matches!(self.change.action, Action::Claim { .. })
    }

    const fn is_admission(&self) -> bool {
        matches!(self.change.action, Action::Admit { .. })
    }

    fn answer(self, result: ChangeResult) {
        // An error means that the caller has gone away.
        let _ = self.answer.send(result);
    }
}

/// Changes the lanes of a store.
pub(super) struct Committer {
    pub(super) store: Arc<dyn Store>,
    pub(super) head_wakes: HeadWakes,
    pub(super) settings: LaneSettings,
    pub(super) cache: LaneCache,
    pub(super) failed_jobs: FailedJobsLog,
    pub(super) metrics: LaneMetrics,
    /// The memory for the inputs that commits read.
    pub(super) reads: ByteBudget,
}

/// How many bytes a commit takes for each stored byte of an input that it reads: the input as text, parsed, and as the
/// arguments of the commit.
const BYTES_FOR_EACH_READ: u64 = 3;
/// How long a commit waits for the memory of the inputs that it reads.
const INPUTS_WAIT: Duration = Duration::from_secs(5);

/// The inputs that a commit reads, and the memory that they take.
#[derive(Default)]
struct ReadInputs {
    inputs: HashMap<JobId, Vec<Turn>>,
    _reserved: Option<ReservedBytes>,
}

impl Committer {
    /// Makes the changes of a batch in one commit, and answers their callers.
    pub(super) async fn run(&self, key: &LaneKey, mut batch: Vec<Pending>) {
        let mut result = self.commit(key, &mut batch, INPUTS_WAIT).await;
        if let Err(error @ LaneError::Store(StoreError::Full)) = &result {
            // A full store rejects only commits that admit a job. The other changes are made without the admissions.
            let (admissions, others): (Vec<_>, Vec<_>) =
                batch.into_iter().partition(Pending::is_admission);
            for admission in admissions {
                admission.answer(Err(error.clone_error()));
            }
            if others.is_empty() {
                return;
            }
            batch = others;
            result = self.commit(key, &mut batch, INPUTS_WAIT).await;
        }
        let may_succeed_alone = matches!(
            &result,
            Err(
                LaneError::Store(StoreError::TooLarge | StoreError::TurnGone) | LaneError::NoMemory
            )
        );
        if may_succeed_alone && batch.len() > 1 {
            // One change may be too large, or only all of them together, or one replaces a turn that is gone. So each is committed by
            // itself, without another wait for memory.
            for pending in batch.into_iter().filter(Pending::is_awaited) {
                let mut alone = [pending];
                let result = self.commit(key, &mut alone, Duration::ZERO).await;
                let [pending] = alone;
                pending.answer(result.and_then(first));
            }
            return;
        }
        match result {
            Ok(results) => {
                for (pending, result) in batch.into_iter().zip(results) {
                    pending.answer(result);
                }
            }
            Err(error) => {
                for pending in batch {
                    pending.answer(Err(error.clone_error()));
                }
            }
        }
    }

    /// Applies the batch to the lane and commits the lane. Repeats both after a conflict. Returns the result of each
    /// change.
    async fn commit(
        &self,
        key: &LaneKey,
        batch: &mut [Pending],
        memory_wait_max: Duration,
    ) -> Result<Vec<ChangeResult>, LaneError> {
        // A commit that waits for memory must leave time for the callers that wait for other changes.
        let soonest = batch.iter().map(|pending| pending.deadline).min();
        let soonest = soonest.unwrap_or_else(Instant::now);
        let memory_wait_max =
            memory_wait_max.min(soonest.saturating_duration_since(Instant::now()) / 2);
        let deadline = batch.iter().map(|pending| pending.deadline).max();
        let deadline = deadline.unwrap_or_else(Instant::now);
        let jobs: Vec<JobId> = batch
            .iter()
            .map(|pending| pending.change.action.job())
            .collect();
        let claims = batch.iter().filter(|pending| pending.is_claim());
        let run_inputs_of = claims.map(|pending| pending.change.action.job()).next();
        let load = || self.store.load(key, &jobs, run_inputs_of);

        let cached = self.cache.take(key);
        let is_cacheable = cached.is_some() || run_inputs_of.is_some();
        // A claim uses no cached lane.
        let is_cached = cached.is_some() && run_inputs_of.is_none();
        let (mut base, mut is_guess) = match guess(cached, &mut *batch) {
            Some(guess) => (guess, true),
            None => (with_retry(deadline, load).await?, false),
        };
        for _ in 0..CONFLICTS_MAX {
            let mut draft = CommitDraft::new(&base, &self.settings, self.store.now());
            let apply = |pending: &Pending| {
                let verdict = draft.apply(&pending.change.action);
                // Several changes have no common context, so the wake gets the trace of its own change.
                if let Some(wake) = draft.wake.as_mut().filter(|wake| wake.trace.is_none()) {
                    wake.trace = pending.context.trace;
                }
                verdict
            };
            let verdicts: Vec<Verdict> = batch.iter().map(apply).collect();
            if is_guess && (verdicts.iter().any(Result::is_err) || !draft.is_changed()) {
                // Only a commit verifies the guess. A refused change and a batch without effect need no commit. So the
                // batch is applied again, to the loaded lane.
                base = with_retry(deadline, load).await?;
                is_guess = false;
                continue;
            }
            let wake = draft.wake.take();
            let tick_moves = std::mem::take(&mut draft.tick_moves);
            let takeovers = draft.takeovers;
            if !draft.is_changed() {
                let lane = draft.lane;
                let moving = self
                    .head_wakes
                    .move_timers(key, &lane, tick_moves, deadline);
                moving.await?;
                return Ok(results(batch, verdicts, &lane, base.run_inputs));
            }

            let inputs = self.read_inputs(draft.inputs_to_read(), deadline, memory_wait_max);
            let read = inputs.await?;
            let bounds = self.settings.session;
            let mut commit =
                draft.into_commit(key, bounds, read.inputs, jobs.clone(), run_inputs_of);
            // A guess has no run inputs, so the commit of a claim returns them.
            commit.needs_run_inputs = is_guess && run_inputs_of.is_some();
            let committed = commit_with_retry(&*self.store, &commit, deadline).await;
            if committed.is_err() {
                // The commit may have been made all the same. If the store is full, `run` commits the batch again
                // without its admissions.
                remember_claims(batch, &verdicts);
            }
            match committed? {
                RetriedCommit::Conflict { newer, is_in_doubt } => {
                    // Counts only conflicts that another process caused. An assumed absence of the lane and the copy of a wake may be
                    // wrong because of this process's own commits. After a lost response, the conflict may come from the lost request.
                    if !is_in_doubt && (is_cached || !is_guess) {
                        self.metrics.commit_conflicts.inc();
                    }
                    if is_in_doubt {
                        remember_claims(batch, &verdicts);
                    }
                    base = *newer;
                    is_guess = false;
                    continue;
                }
                RetriedCommit::Done { run_inputs } => {
                    base.run_inputs = base.run_inputs.or(run_inputs);
                    self.failed_jobs.log(&commit, &base.lane);
                    self.metrics.takeovers.inc_by(takeovers);
                }
            }
            if let Some(wake) = wake {
                self.head_wakes.wake_new_head(&commit, wake);
            }
            let lane = &commit.next;
            let moving = self.head_wakes.move_timers(key, lane, tick_moves, deadline);
            moving.await?;
            let results = results(batch, verdicts, lane, base.run_inputs);
            if is_cacheable {
                self.cache.insert(key, commit.next, commit.version);
            }
            return Ok(results);
        }
        Err(LaneError::Contended)
    }

    /// Reads the inputs of `jobs`, which are in the order of the session, from the newest to the oldest. Stops once the session
    /// could not keep older turns. Leaves out jobs that have been deleted, and jobs whose inputs the session does not keep.
    async fn read_inputs(
        &self,
        jobs: Vec<JobId>,
        deadline: Instant,
        memory_wait_max: Duration,
    ) -> Result<ReadInputs, LaneError> {
        if jobs.is_empty() {
            return Ok(ReadInputs::default());
        }
        let bounds = &self.settings.session;
        let sizes = with_retry(deadline, || self.store.request_bytes(&jobs)).await?;
        let largest = sizes.iter().copied().max().unwrap_or(0);
        let kept_max = u64::try_from(bounds.turns_bytes_max).unwrap_or(u64::MAX);
        let bytes = sizes
            .iter()
            .sum::<u64>()
            .min(kept_max.saturating_add(largest));
        let reserved = if bytes <= INLINE_BYTES_MAX {
            None
        } else {
            let bytes = bytes.saturating_mul(BYTES_FOR_EACH_READ);
            let reserved = self.reads.reserve(bytes, memory_wait_max).await;
            Some(reserved.ok_or(LaneError::NoMemory)?)
        };
        let mut read = ReadInputs {
            inputs: HashMap::new(),
            _reserved: reserved,
        };
        let mut sum = TurnSum::default();
        for job in jobs.into_iter().rev() {
            if sum.exceeds(bounds) {
                break;
            }
            let request = with_retry(deadline, || self.store.request(job)).await?;
            if let Some(request) = request.filter(Request::keeps_input) {
                request.input.iter().for_each(|turn| sum.add(turn));
                read.inputs.insert(job, request.input);
            }
        }
        Ok(read)
    }
}

/// Guesses the lane instead of loading it; the commit verifies the guess. The guess is the copy that came with the wake of a
/// claim, the cached lane, or an absent lane if the batch only admits jobs. So most submits, most claims and most ends of an
/// attempt take one round trip.
fn guess(cached: Option<LoadedLane>, batch: &mut [Pending]) -> Option<LoadedLane> {
    if let Some(claim) = batch.iter_mut().find(|pending| pending.is_claim()) {
        return claim.change.action.take_lane_copy();
    }
    let is_new = batch.iter().all(Pending::is_admission);
    cached.or_else(|| is_new.then(LoadedLane::default))
}

/// Stores the fences of claims whose commit may have succeeded without a response. When the claim is applied again, the
/// rules grant it if the job already runs for the same worker with this fence.
fn remember_claims(batch: &mut [Pending], verdicts: &[Verdict]) {
    for (pending, verdict) in batch.iter_mut().zip(verdicts) {
        if let (
            Action::Claim { repeated_fence, .. },
            Ok(Decision::Claim(ClaimResult::Granted { fence })),
        ) = (&mut pending.change.action, verdict)
        {
            *repeated_fence = Some(*fence);
        }
    }
}

/// The result of the only change of a batch.
fn first(results: Vec<ChangeResult>) -> ChangeResult {
    results
        .into_iter()
        .next()
        .unwrap_or(Err(LaneError::Contended))
}

/// The result of each change, once the batch is committed.
fn results(
    batch: &[Pending],
    verdicts: Vec<Verdict>,
    lane: &Lane,
    mut run_inputs: Option<LoadedRunInputs>,
) -> Vec<ChangeResult> {
    let results = batch.iter().zip(verdicts).map(|(pending, verdict)| {
        match verdict.map_err(LaneError::Refused)? {
            Decision::Made => Ok(made(lane, &pending.change.action)),
            Decision::NeedsBytes(bytes) => Ok(Applied::NeedsBytes(bytes)),
            Decision::Claim(ClaimResult::NotDue { .. }) => Ok(Applied::NotDue),
            Decision::Claim(ClaimResult::Granted { fence }) => Ok(claim_result(
                lane,
                pending.change.action.job(),
                fence,
                &mut run_inputs,
            )),
        }
    });
    results.collect()
}

/// The result of a change that is neither refused nor a claim.
fn made(lane: &Lane, action: &Action) -> Applied {
    let position = lane.find(action.job()).map(|(position, _)| position);
    match action {
        Action::Admit { .. } | Action::Repair { .. } => Applied::Admitted {
            // A later change of the same batch may have ended the job.
            ahead: position.unwrap_or(0),
            head: lane.head().map_or(LaneHead::READY, LaneHead::of),
        },
        // The rules fail a job whose tries are used up.
        Action::Retry { .. } if position.is_none() => Applied::NotTriedAgain,
        _ => Applied::Done,
    }
}

/// The result of a granted claim.
fn claim_result(
    lane: &Lane,
    job: JobId,
    fence: u64,
    run_inputs: &mut Option<LoadedRunInputs>,
) -> Applied {
    let entry = lane.find(job).map(|(_, entry)| entry);
    let (Some(entry), Some(run_inputs)) = (entry, run_inputs.take()) else {
        // A later change of the same batch has ended the job.
        return Applied::NotDue;
    };
    Applied::Claimed {
        fence,
        until: match &entry.state {
            State::Running { until, .. } => *until,
            // A later change of the same batch has queued the job again. The rules will refuse the claim's settlement.
            State::Queued { .. } | State::Deferred(_) => TimeMs(u64::MAX),
        },
        attempt: entry.attempts.last().map_or(1, |attempt| attempt.n),
        tries: entry.tries,
        expires_at: entry.deadline,
        run_inputs: run_inputs.inline(),
    }
}
