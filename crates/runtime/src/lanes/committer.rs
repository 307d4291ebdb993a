//! Makes one commit of a batch of changes, and answers the callers.

use std::{collections::HashMap, sync::Arc};

use tokio::{sync::oneshot, time::Instant};

use super::{
    cache::LaneCache,
    change::{Action, Applied, LaneChange},
    draft::{CommitDraft, LaneSettings, Verdict},
    error::LaneError,
    head_wakes::HeadWakes,
    retry::{RetriedCommit, commit_with_retry, with_retry},
};
use forebay_shared::{
    ids::{JobId, LaneKey},
    lane::{ClaimResult, Lane, State},
    store::{LoadedLane, RunInputs, Store, StoreError},
    time::TimeMs,
    turn::Turn,
};

/// After this many conflicts, the changes of a batch fail with [`LaneError::Contended`].
const CONFLICTS_MAX: u32 = 100;

/// The result of one change.
pub(super) type ChangeResult = Result<Applied, LaneError>;

/// A change that waits for its commit.
pub(super) struct Pending {
    /// The change. Its permit is held until the change is answered.
    change: LaneChange,
    deadline: Instant,
    answer: oneshot::Sender<ChangeResult>,
}

impl Pending {
    pub(super) const fn new(
        change: LaneChange,
        deadline: Instant,
        answer: oneshot::Sender<ChangeResult>,
    ) -> Self {
        Self {
            change,
            deadline,
            answer,
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
}

impl Committer {
    /// Makes the changes of a batch in one commit, and answers their callers.
    pub(super) async fn run(&self, key: &LaneKey, mut batch: Vec<Pending>) {
        let mut result = self.commit(key, &mut batch).await;
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
            result = self.commit(key, &mut batch).await;
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
    ) -> Result<Vec<ChangeResult>, LaneError> {
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
        let (mut base, mut is_guess) = match guess(cached, batch) {
            Some(guess) => (guess, true),
            None => (with_retry(deadline, load).await?, false),
        };
        for _ in 0..CONFLICTS_MAX {
            let mut draft = CommitDraft::new(&base, &self.settings, self.store.now());
            let apply = |pending: &Pending| draft.apply(&pending.change.action);
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
            if !draft.is_changed() {
                let lane = draft.lane;
                let moving = self
                    .head_wakes
                    .move_timers(key, &lane, tick_moves, deadline);
                moving.await?;
                return Ok(results(batch, verdicts, &lane, base.run_inputs));
            }

            let inputs = self.read_inputs(draft.inputs_to_read(), deadline).await?;
            let bounds = self.settings.session;
            let commit = draft.into_commit(key, bounds, inputs, jobs.clone(), run_inputs_of);
            let committed = commit_with_retry(&*self.store, &commit, deadline).await;
            if committed.is_err() {
                // The commit may have been made all the same. If the store is full, `run` commits the batch again
                // without its admissions.
                remember_claims(batch, &verdicts);
            }
            match committed? {
                RetriedCommit::Conflict { newer, is_in_doubt } => {
                    if is_in_doubt {
                        remember_claims(batch, &verdicts);
                    }
                    base = *newer;
                    is_guess = false;
                    continue;
                }
                RetriedCommit::Done => {}
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

    /// Reads the inputs of jobs. A job that has been deleted is left out.
    async fn read_inputs(
        &self,
        jobs: Vec<JobId>,
        deadline: Instant,
    ) -> Result<HashMap<JobId, Vec<Turn>>, LaneError> {
        let mut inputs = HashMap::with_capacity(jobs.len());
        for job in jobs {
            if let Some(request) = with_retry(deadline, || self.store.request(job)).await? {
                inputs.insert(job, request.input);
            }
        }
        Ok(inputs)
    }
}

/// Guesses the lane instead of loading it; the commit verifies the guess. The guess is the cached lane, or an absent
/// lane if the batch only admits jobs. So most submits and most ends of an attempt take one round trip. Returns `None`
/// for a batch with a claim, because a claim needs the run inputs of the job, which only a load returns.
fn guess(cached: Option<LoadedLane>, batch: &[Pending]) -> Option<LoadedLane> {
    if batch.iter().any(Pending::is_claim) {
        return None;
    }
    let is_new = batch.iter().all(Pending::is_admission);
    cached.or_else(|| is_new.then(LoadedLane::default))
}

/// Stores the fences of claims whose commit may have succeeded without a response. When the claim is applied again, the
/// rules grant it if the job already runs for the same worker with this fence.
fn remember_claims(batch: &mut [Pending], verdicts: &[Verdict]) {
    for (pending, verdict) in batch.iter_mut().zip(verdicts) {
        if let (Action::Claim { repeated_fence, .. }, Ok(Some(ClaimResult::Granted { fence }))) =
            (&mut pending.change.action, verdict)
        {
            *repeated_fence = Some(*fence);
        }
    }
}

/// The result of each change, once the batch is committed.
fn results(
    batch: &[Pending],
    verdicts: Vec<Verdict>,
    lane: &Lane,
    mut run_inputs: Option<RunInputs>,
) -> Vec<ChangeResult> {
    let results = batch.iter().zip(verdicts).map(|(pending, verdict)| {
        match verdict.map_err(LaneError::Refused)? {
            None => Ok(Applied::Done),
            Some(ClaimResult::NotDue { .. }) => Ok(Applied::NotDue),
            Some(ClaimResult::Granted { fence }) => Ok(claim_result(
                lane,
                pending.change.action.job(),
                fence,
                &mut run_inputs,
            )),
        }
    });
    results.collect()
}

/// The result of a granted claim.
fn claim_result(
    lane: &Lane,
    job: JobId,
    fence: u64,
    run_inputs: &mut Option<RunInputs>,
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
        run_inputs: Box::new(run_inputs),
    }
}
