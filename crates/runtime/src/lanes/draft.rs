//! The effects of the events of one round, gathered into one commit.

use std::sync::Arc;

use super::{Bring, LaneSettings};
use forebay_shared::{
    ids::{JobId, LaneKey, ProcessId},
    job::{Reply, Request},
    lane::{Effects, EndedEntry, Lane, LaneCounts},
    session::TokenMeasure,
    store::{
        Commit, EndedJob, LaneVersion, LoadedLane, NewJob, SessionWrite, Store, StoreError,
        TimerMove,
    },
    time::TimeMs,
    turn::Turn,
};

/// Turns that go into the session.
enum Append {
    /// These.
    Turns(Vec<Turn>),
    /// The input of this job, which got no reply.
    InputOf(JobId),
}

/// What a round has come to so far.
pub(super) struct Draft<'a> {
    seen: &'a LoadedLane,
    pub(super) lane: Lane,
    pub(super) wake: Option<JobId>,
    /// Timers to move without a commit, with the head to wake for each that moves.
    pub(super) moves: Vec<(TimerMove, bool)>,
    timers: Vec<(JobId, Option<TimeMs>)>,
    admitted: Vec<NewJob>,
    reopened: Vec<JobId>,
    ended: Vec<(EndedEntry, Option<Reply>, Option<String>)>,
    append: Vec<Append>,
    measure: Option<TokenMeasure>,
    dropped_calls: Vec<(ProcessId, JobId)>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(seen: &'a LoadedLane) -> Self {
        Self {
            seen,
            lane: seen.lane.clone(),
            wake: None,
            moves: Vec::new(),
            timers: Vec::new(),
            admitted: Vec::new(),
            reopened: Vec::new(),
            ended: Vec::new(),
            append: Vec::new(),
            measure: None,
            dropped_calls: Vec::new(),
        }
    }

    /// Takes in what an event came to.
    pub(super) fn absorb(&mut self, job: JobId, next: Lane, effects: Effects, bring: &Bring) {
        if let Bring::Timer(from) = bring
            && next == self.lane
            && let [(job, Some(to))] = effects.timers[..]
        {
            // Nothing but the timer: no commit, and only if it is still the one that was read.
            self.moves.push((
                TimerMove {
                    job,
                    from: *from,
                    to,
                },
                effects.wake == Some(job),
            ));
            return;
        }
        self.lane = next;
        for (job, timer) in effects.timers {
            self.timers.retain(|(other, _)| *other != job);
            self.timers.push((job, timer));
        }
        self.wake = effects.wake.or(self.wake);
        if effects.admitted
            && let Bring::Job(new) = bring
        {
            self.admitted.push(NewJob::clone(new));
        }
        self.reopened.extend(effects.reopened);
        self.append
            .extend(effects.keep_inputs.into_iter().map(Append::InputOf));
        let content = match bring {
            Bring::Attempt(content) => Some(content),
            _ => None,
        };
        if effects.keep_turns
            && let Some(content) = content
        {
            self.append.push(Append::Turns(content.turns.clone()));
            self.measure = content.measure.or(self.measure);
        }
        for ending in effects.ended {
            let content = content.filter(|_| ending.entry.job == job);
            let reply = content
                .and_then(|c| c.reply.clone())
                .filter(|_| ending.error.is_none());
            let provider = content.and_then(|content| content.provider.clone());
            self.ended.push((ending, reply, provider));
        }
        self.dropped_calls.extend(effects.dropped_calls);
    }

    /// Whether there is something to commit.
    pub(super) fn is_changed(&self) -> bool {
        self.lane != self.seen.lane || !self.timers.is_empty() || !self.ended.is_empty()
    }

    /// The commit that makes it so.
    pub(super) async fn commit(
        self,
        key: &LaneKey,
        settings: &LaneSettings,
        store: &dyn Store,
        about: Vec<JobId>,
        work: Option<JobId>,
        now: TimeMs,
    ) -> Result<Commit, StoreError> {
        let mut append = Vec::new();
        for turns in self.append {
            match turns {
                Append::Turns(turns) => append.extend(turns),
                Append::InputOf(job) => {
                    append.extend(input_of(job, &self.admitted, store).await?);
                }
            }
        }
        // Between its first job and its last, nothing but turns changes for a session: its time to live stands
        // still. So a claim, a retry or a release needs no write of it.
        let is_touched = !append.is_empty()
            || self.measure.is_some()
            || !self.admitted.is_empty()
            || !self.reopened.is_empty()
            || self.lane.entries.is_empty() != self.seen.lane.entries.is_empty();
        let ended = self
            .ended
            .into_iter()
            .map(|(ending, reply, provider)| EndedJob {
                job: ending.entry.job,
                class: ending.entry.class,
                outcome: ending.into_outcome(reply, provider),
                keep_ms: settings.result_ttl_ms,
            });
        Ok(Commit {
            lane: key.clone(),
            expected: self.seen.version,
            version: LaneVersion::new_v4(),
            counts: LaneCounts::of(&self.lane) - LaneCounts::of(&self.seen.lane),
            next: self.lane,
            timers: self.timers,
            admitted: self.admitted,
            reopened: self.reopened,
            ended: ended.collect(),
            session: key.session().filter(|_| is_touched).map(|_| SessionWrite {
                append,
                measure: self.measure,
                bounds: settings.session,
            }),
            dropped_calls: self.dropped_calls,
            outcomes_of: about,
            work_of: work,
            at: now,
        })
    }
}

/// The input of a job, which stays in the session although the job got no reply.
async fn input_of(
    job: JobId,
    admitted: &[NewJob],
    store: &dyn Store,
) -> Result<Vec<Turn>, StoreError> {
    if let Some(new) = admitted.iter().find(|new| new.meta.id == job) {
        let request: &Arc<Request> = &new.request;
        return Ok(request.input.clone());
    }
    Ok(store
        .request(job)
        .await?
        .map(|request| request.input)
        .unwrap_or_default())
}
