//! One round over a lane: fold the events that wait into one commit, and make it, however often the
//! lane has changed meanwhile or the answer was lost.

use tokio::{sync::oneshot, time::Instant};

use super::{
    Applied, Bring, Inner, LaneChange, LaneError,
    draft::Draft,
    surely::{Pause, commit_with_retry, load, move_timers},
};
use forebay_shared::{
    ids::{JobId, LaneKey},
    lane::{Claim, Event, Lane, Refused, State, apply},
    store::{Commit, LoadedLane, StoreError, Work},
    time::TimeMs,
};

/// After so many conflicts in a row the lane is called crowded.
const CONFLICTS_MAX: u32 = 100;

/// A change that waits, and who waits for it.
pub(super) struct Pending {
    change: LaneChange,
    until: Instant,
    answer: oneshot::Sender<Result<Applied, LaneError>>,
}

impl Pending {
    pub(super) fn new(
        change: LaneChange,
        until: Instant,
        answer: oneshot::Sender<Result<Applied, LaneError>>,
    ) -> Self {
        Self {
            change,
            until,
            answer,
        }
    }

    /// Whether somebody still waits for it; a change that was given up must not be made much later.
    pub(super) fn is_awaited(&self) -> bool {
        !self.answer.is_closed() && Instant::now() < self.until
    }

    pub(super) fn is_claim(&self) -> bool {
        matches!(self.change.event, Event::Claim { .. })
    }
}

/// What the rules said to one event.
type Verdict = Result<Option<Claim>, Refused>;

/// Makes the changes of one round and answers everybody who waits for them.
pub(super) async fn run(inner: &Inner, key: &LaneKey, mut pending: Vec<Pending>) {
    let until = pending
        .iter()
        .map(|p| p.until)
        .max()
        .unwrap_or_else(Instant::now);
    let mut result = settle(inner, key, &mut pending, until).await;
    if let Err(error @ LaneError::Store(StoreError::Full)) = &result {
        // A full store takes no new jobs, but all else; the others must not fail for those.
        let (admissions, others): (Vec<_>, Vec<_>) = pending
            .into_iter()
            .partition(|p| matches!(p.change.event, Event::Admit(_)));
        for refused in admissions {
            let _ = refused.answer.send(Err(clone_error(error)));
        }
        pending = others;
        if pending.is_empty() {
            return;
        }
        result = settle(inner, key, &mut pending, until).await;
    }
    match result {
        Ok(mut round) => {
            for (pending, verdict) in pending.into_iter().zip(round.verdicts) {
                let result = match verdict {
                    Err(refused) => Err(LaneError::Refused(refused)),
                    Ok(claim) => {
                        let job = pending.change.event.job();
                        Ok(applied(claim, &round.lane, job, &mut round.work))
                    }
                };
                // Who has gone does not care.
                let _ = pending.answer.send(result);
            }
        }
        Err(error) => {
            for pending in pending {
                let _ = pending.answer.send(Err(clone_error(&error)));
            }
        }
    }
}

/// The same error for one more of those who wait. Sources cannot be copied; they are in the log.
fn clone_error(error: &LaneError) -> LaneError {
    LaneError::Store(match error {
        LaneError::Refused(refused) => return LaneError::Refused(*refused),
        LaneError::Contended => return LaneError::Contended,
        LaneError::Store(StoreError::Full) => StoreError::Full,
        LaneError::Store(StoreError::Unavailable(source)) => {
            tracing::debug!(?source, "the store did not take a change");
            StoreError::Unavailable(None)
        }
        LaneError::Store(StoreError::Newer(newer)) => StoreError::Newer(*newer),
        LaneError::Store(StoreError::Broken(source)) => {
            tracing::error!(?source, "the store failed");
            StoreError::Broken("the reason is in this process's log".into())
        }
    })
}

fn applied(claim: Option<Claim>, lane: &Lane, job: JobId, work: &mut Option<Work>) -> Applied {
    match claim {
        None => Applied::Done,
        Some(Claim::NotDue { .. }) => Applied::NotDue,
        Some(Claim::Granted { fence }) => {
            // The job may have ended within this very round: then there is nothing to run.
            let entry = lane.find(job).map(|(_, entry)| entry);
            let (Some(entry), Some(work)) = (entry, work.take()) else {
                return Applied::NotDue;
            };
            Applied::Claimed {
                fence,
                until: match &entry.state {
                    State::Running { until, .. } => *until,
                    State::Queued { .. } => TimeMs(u64::MAX),
                },
                attempt: entry.attempts.last().map_or(1, |attempt| attempt.n),
                tries: entry.tries,
                work: Box::new(work),
            }
        }
    }
}

/// What a round came to.
struct Round {
    verdicts: Vec<Verdict>,
    lane: Lane,
    work: Option<Work>,
}

async fn settle(
    inner: &Inner,
    key: &LaneKey,
    pending: &mut [Pending],
    until: Instant,
) -> Result<Round, LaneError> {
    let jobs: Vec<JobId> = pending.iter().map(|p| p.change.event.job()).collect();
    let work = pending
        .iter()
        .find(|p| p.is_claim())
        .map(|p| p.change.event.job());
    let remembered = inner.recent.take(key);
    let is_ours = remembered.is_some() || work.is_some();
    let (mut seen, mut is_guess) = match guess(remembered, pending) {
        Some(guess) => (guess, true),
        None => (load(inner, key, &jobs, work, until).await?, false),
    };
    let mut pause = Pause::until(until);
    for _ in 0..CONFLICTS_MAX {
        let now = inner.store.now();
        let mut draft = Draft::new(&seen);
        let mut verdicts = Vec::with_capacity(pending.len());
        for Pending { change, .. } in pending.iter() {
            let job = change.event.job();
            verdicts.push(
                apply(&draft.lane, seen.outcome(job), &change.event, now).map(|(next, effects)| {
                    let claim = effects.claim;
                    draft.absorb(job, next, effects, &change.bring);
                    claim
                }),
            );
        }
        if is_guess && (verdicts.iter().any(Result::is_err) || !draft.is_changed()) {
            // No commit would check it, so it must be looked at.
            seen = load(inner, key, &jobs, work, until).await?;
            is_guess = false;
            continue;
        }
        let (lane, wake, moves) = (
            draft.lane.clone(),
            draft.wake,
            std::mem::take(&mut draft.moves),
        );
        if draft.is_changed() {
            let build = draft.commit(key, &inner.settings, &*inner.store, jobs.clone(), work, now);
            let commit = match build.await {
                Ok(commit) => commit,
                Err(error) => {
                    pause.after(error).await?;
                    continue;
                }
            };
            if let Some(newer) = commit_with_retry(inner, &commit, until, || {
                remember_claim(pending, &verdicts);
            })
            .await?
            {
                seen = newer;
                is_guess = false;
                continue;
            }
            if is_ours {
                inner.recent.keep(key, &commit.next, commit.version);
            }
            send_wake(inner, key, &commit, wake, pending);
        }
        let moves: Vec<_> = moves
            .into_iter()
            .map(|tick| inner.unless_queued(&lane, tick))
            .collect();
        if !moves.is_empty() {
            let ticks: Vec<_> = moves.iter().map(|(tick, _)| *tick).collect();
            let moved = move_timers(inner, &ticks, until).await?;
            for ((tick, wakes), moved) in moves.into_iter().zip(moved) {
                if wakes && moved {
                    inner.publish(key, &lane, tick.job, tick.to, None);
                }
            }
        }
        return Ok(Round {
            verdicts,
            lane,
            work: seen.work,
        });
    }
    Err(LaneError::Contended)
}

/// A guess at the lane that spares a look at it, since the commit checks it: as this process left it, or,
/// for admissions alone, that there is none. So the common submit is one round trip, and the common end
/// of an attempt too. A claim needs more than the lane, so it has no guess.
fn guess(remembered: Option<LoadedLane>, pending: &[Pending]) -> Option<LoadedLane> {
    if pending.iter().any(Pending::is_claim) {
        return None;
    }
    let is_new = |p: &Pending| matches!(&p.change.event, Event::Admit(admit) if !admit.repair);
    remembered.or_else(|| pending.iter().all(is_new).then(LoadedLane::default))
}

/// The answer to a claim may have been lost: should the lane turn out to run for this worker with
/// the fence that it asked for, the claim had succeeded.
fn remember_claim(pending: &mut [Pending], verdicts: &[Verdict]) {
    for (pending, verdict) in pending.iter_mut().zip(verdicts) {
        if let (Event::Claim { asked, .. }, Ok(Some(Claim::Granted { fence }))) =
            (&mut pending.change.event, verdict)
        {
            *asked = Some(*fence);
        }
    }
}

/// Wakes the head that the commit made ready, if it did.
fn send_wake(
    inner: &Inner,
    key: &LaneKey,
    commit: &Commit,
    wake: Option<JobId>,
    pending: &[Pending],
) {
    let Some(job) = wake.filter(|job| commit.next.head().is_some_and(|head| head.job == *job))
    else {
        return;
    };
    let timer = commit.timers.iter().find(|(other, _)| *other == job);
    if let Some((_, Some(timer))) = timer {
        let admitted = pending.iter().find_map(|p| match &p.change.bring {
            Bring::Job(new) if new.meta.id == job => Some(&new.meta),
            _ => None,
        });
        inner.publish(key, &commit.next, job, *timer, admitted);
    }
}
