//! Gathers the effects of a batch of changes into one commit. Reads nothing from the store: the caller passes all data.

use std::{collections::HashMap, sync::Arc};

use super::{change::Action, change_data::AttemptOutput};
use forebay_shared::{
    ids::{JobId, LaneKey, ProcessId},
    lane::{ClaimResult, Effects, Lane, LaneCounts, OutcomeSummary, Refused, apply},
    session::{SessionBounds, TokenMeasure},
    store::{
        Commit, DeferredChange, EndedJob, LaneVersion, LoadedLane, NewJob, RepairedJob,
        SessionWrite, TimerMove,
    },
    time::TimeMs,
    turn::Turn,
    wake::WakePermit,
};
use forebay_telemetry::TraceContext;

/// Settings that apply to every commit of this process.
#[derive(Clone, Copy, Debug)]
pub struct LaneSettings {
    /// The limits of a session.
    pub session: SessionBounds,
    /// How long the record of an ended job is kept, in milliseconds.
    pub result_ttl_ms: u64,
}

/// What the rules decided about one change.
pub(super) type Verdict = Result<Decision, Refused>;

/// How a change is made.
#[derive(Clone, Copy, Debug)]
pub(super) enum Decision {
    /// The draft contains the change.
    Made,
    /// The rules' answer to a claim.
    Claim(ClaimResult),
    /// The claim would be granted, but the job's run inputs have this many bytes. The draft does not contain the claim.
    NeedsBytes(u64),
}

/// A timer to move without a commit.
#[derive(Clone, Copy, Debug)]
pub(super) struct TickMove {
    pub(super) timer: TimerMove,
    /// Whether the head is woken once its timer has moved.
    pub(super) wakes_head: bool,
}

/// A head to wake.
#[derive(Clone, Debug)]
pub(super) struct HeadWake {
    pub(super) job: JobId,
    /// The permit that the sweeper has taken for this job.
    pub(super) permit: Option<WakePermit>,
    /// The trace of the change that makes the head ready, if it is known.
    pub(super) trace: Option<TraceContext>,
}

/// The turns that one job adds to the session.
enum Append {
    /// The turns of an attempt that completed its job.
    Output(Arc<AttemptOutput>),
    /// The input of a job that was interrupted.
    InputOf(JobId),
}

/// The lane after the batch, and everything that its commit writes.
pub(super) struct CommitDraft<'a> {
    /// The lane before the batch.
    base: &'a LoadedLane,
    now: TimeMs,
    result_ttl_ms: u64,
    /// The lane after the changes so far.
    pub(super) lane: Lane,
    /// The head to wake.
    pub(super) wake: Option<HeadWake>,
    /// Timers to move without a commit.
    pub(super) tick_moves: Vec<TickMove>,
    /// How many running jobs the changes take from their workers.
    pub(super) takeovers: u64,
    timers: Vec<(JobId, Option<TimeMs>)>,
    admitted: Vec<Arc<NewJob>>,
    repaired: Vec<RepairedJob>,
    ended: Vec<EndedJob>,
    append: Vec<Append>,
    token_measure: Option<TokenMeasure>,
    dropped_calls: Vec<(ProcessId, JobId)>,
}

impl<'a> CommitDraft<'a> {
    pub(super) fn new(base: &'a LoadedLane, settings: &LaneSettings, now: TimeMs) -> Self {
        Self {
            base,
            now,
            result_ttl_ms: settings.result_ttl_ms,
            lane: base.lane.clone(),
            wake: None,
            tick_moves: Vec::new(),
            takeovers: 0,
            timers: Vec::new(),
            admitted: Vec::new(),
            repaired: Vec::new(),
            ended: Vec::new(),
            append: Vec::new(),
            token_measure: None,
            dropped_calls: Vec::new(),
        }
    }

    /// Applies one change. A refused change leaves the draft as it is.
    pub(super) fn apply(&mut self, action: &Action) -> Verdict {
        let outcome = self.outcome(action.job());
        let permit = match action {
            Action::Resume { permit, .. } => Some(permit.clone()),
            _ => None,
        };
        // The repair belongs to one outcome. If the job has another one, the job was repaired or removed since.
        if let Action::Repair { fence, .. } = action
            && outcome.is_some_and(|outcome| outcome.fence != *fence)
        {
            return Err(Refused::Exists);
        }
        if let Action::Tick { timer, .. } = action {
            let before = self.lane.clone();
            let effects = apply(&mut self.lane, outcome, &action.event(), self.now)?;
            match effects.timers[..] {
                // Only the timer changes. It moves without a commit if it still has the time that was read.
                [(job, Some(to))] if self.lane == before => self.tick_moves.push(TickMove {
                    timer: TimerMove {
                        job,
                        from: *timer,
                        to,
                    },
                    wakes_head: effects.wake == Some(job),
                }),
                _ => self.add_effects(action, effects, permit),
            }
            return Ok(Decision::Made);
        }
        if let Some(bytes) = action.needs_bytes(self.base) {
            let mut lane = self.lane.clone();
            let effects = apply(&mut lane, outcome, &action.event(), self.now)?;
            if let Some(ClaimResult::Granted { .. }) = effects.claim {
                return Ok(Decision::NeedsBytes(bytes));
            }
        }
        let effects = apply(&mut self.lane, outcome, &action.event(), self.now)?;
        let claim = effects.claim;
        self.add_effects(action, effects, permit);
        Ok(claim.map_or(Decision::Made, Decision::Claim))
    }

    /// The outcome of a job that has ended: in an earlier change of the batch, or before the batch.
    fn outcome(&self, job: JobId) -> Option<OutcomeSummary> {
        let mut ended = self.ended.iter().rev();
        match ended.find(|ended| ended.job == job) {
            Some(ended) => Some(OutcomeSummary {
                status: ended.outcome.status,
                fence: ended.outcome.fence,
                settled_fence: ended.outcome.settled_fence,
            }),
            None => self.base.outcome(job),
        }
    }

    /// Adds the effects and the documents of a change to the draft.
    fn add_effects(&mut self, action: &Action, effects: Effects, permit: Option<WakePermit>) {
        for (job, timer) in effects.timers {
            self.timers.retain(|(other, _)| *other != job);
            self.timers.push((job, timer));
        }
        if let Some(job) = effects.wake {
            self.wake = Some(HeadWake {
                job,
                permit,
                trace: None,
            });
        }
        if let Action::Admit { job, .. } = action {
            self.admitted.push(Arc::clone(job));
        }
        self.takeovers += u64::from(effects.is_takeover);
        if let Action::Repair { meta, fence } = action {
            self.repaired.push(RepairedJob {
                fence: *fence,
                meta: Arc::clone(meta),
            });
        }
        let inputs = effects.keep_inputs.into_iter().map(Append::InputOf);
        self.append.extend(inputs);
        let mut reply = None;
        if let Action::Complete { output, .. } = action
            && effects.keep_turns
        {
            self.append.push(Append::Output(Arc::clone(output)));
            self.token_measure = output.token_measure.or(self.token_measure);
            reply = Some(output.reply.clone());
        }
        for ended in effects.ended {
            let (job, class) = (ended.entry.job, ended.entry.class);
            // A change may end other jobs of the lane too. Those have neither a reply nor a provider.
            let is_changed_job = job == action.job();
            let reply = reply.take_if(|_| is_changed_job);
            let provider = is_changed_job.then(|| action.provider()).flatten();
            self.ended.push(EndedJob {
                job,
                class,
                outcome: ended.into_outcome(reply, provider),
                keep_ms: self.result_ttl_ms,
            });
        }
        self.dropped_calls.extend(effects.dropped_calls);
    }

    /// Whether there is something to commit.
    pub(super) fn is_changed(&self) -> bool {
        !self.timers.is_empty() || !self.ended.is_empty() || self.lane != self.base.lane
    }

    /// The interrupted jobs whose inputs must be read for [`into_commit`](Self::into_commit). The input of a job that
    /// the batch admits is in the batch itself.
    pub(super) fn inputs_to_read(&self) -> Vec<JobId> {
        let is_admitted = |job: &JobId| self.admitted.iter().any(|new| new.meta.id == *job);
        let inputs = self.append.iter().filter_map(|append| match append {
            Append::InputOf(job) => Some(*job),
            Append::Output(_) => None,
        });
        inputs.filter(|job| !is_admitted(job)).collect()
    }

    /// Builds the commit. `inputs` holds the inputs of [`inputs_to_read`](Self::inputs_to_read), except for deleted jobs and for
    /// older jobs whose turns the session would drop at once.
    /// After a conflict, the store returns the outcomes of `outcomes_of` and the run inputs of `run_inputs_of`, as the load did.
    pub(super) fn into_commit(
        self,
        key: &LaneKey,
        session: SessionBounds,
        mut inputs: HashMap<JobId, Vec<Turn>>,
        outcomes_of: Vec<JobId>,
        run_inputs_of: Option<JobId>,
    ) -> Commit {
        let mut append = Vec::new();
        let mut replace_from_turn = None;
        for turns in &self.append {
            match turns {
                Append::Output(output) => {
                    if output.replace_from_turn.is_some() {
                        // Earlier turns of this commit would come after that turn, so they are replaced too.
                        append.clear();
                        replace_from_turn = output.replace_from_turn;
                    }
                    append.extend_from_slice(&output.turns);
                }
                Append::InputOf(job) => {
                    match self.admitted.iter().find(|new| new.meta.id == *job) {
                        Some(new) if new.request.keeps_input() => {
                            append.extend_from_slice(&new.request.input);
                        }
                        Some(_) => {}
                        None => append.extend(inputs.remove(job).unwrap_or_default()),
                    }
                }
            }
        }
        let append = without_excess(append, &session);
        // A claim, a retry and a release do not write the session. Its time to live does not run while it has live
        // jobs.
        let is_session_changed = !append.is_empty()
            || self.token_measure.is_some()
            || !self.admitted.is_empty()
            || !self.repaired.is_empty()
            || self.lane.entries.is_empty() != self.base.lane.entries.is_empty();
        let session = (is_session_changed && key.session().is_some()).then_some(SessionWrite {
            replace_from_turn,
            append,
            token_measure: self.token_measure,
            bounds: session,
        });
        Commit {
            lane: key.clone(),
            expected: self.base.version,
            version: LaneVersion::new_v4(),
            counts: LaneCounts::of(&self.lane) - LaneCounts::of(&self.base.lane),
            deferred: DeferredChange::between(&self.base.lane, &self.lane),
            next: self.lane,
            timers: self.timers,
            admitted: self.admitted,
            repaired: self.repaired,
            ended: self.ended,
            session,
            dropped_calls: self.dropped_calls,
            outcomes_of,
            run_inputs_of,
            needs_run_inputs: false,
            at: self.now,
        }
    }
}

/// Drops the oldest turns that the session would drop as soon as they are appended. Leaves one turn more than the session keeps, so
/// that the store drops all older turns that it has. Otherwise turns between them and the new ones would be missing.
fn without_excess(mut append: Vec<Turn>, session: &SessionBounds) -> Vec<Turn> {
    let mut kept = TurnSum::default();
    let excess = append.iter().rposition(|turn| {
        let is_full = kept.exceeds(session);
        kept.add(turn);
        is_full
    });
    if let Some(last_excess) = excess {
        append.drain(..=last_excess);
    }
    append
}

/// The number and the bytes of some turns.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TurnSum {
    turns: usize,
    bytes: usize,
}

impl TurnSum {
    pub(super) fn add(&mut self, turn: &Turn) {
        self.turns += 1;
        self.bytes = self.bytes.saturating_add(turn.json_bytes());
    }

    /// Whether the session cannot keep all these turns.
    pub(super) const fn exceeds(self, session: &SessionBounds) -> bool {
        self.turns > session.turns_max || self.bytes > session.turns_bytes_max
    }
}

#[cfg(test)]
mod tests {
    use forebay_shared::{
        session::SessionBounds,
        turn::{Role, Turn},
    };

    use super::without_excess;

    #[test]
    fn a_commit_appends_one_turn_more_than_the_session_keeps() {
        let turns = |texts: &[&str]| -> Vec<Turn> {
            let turns = texts.iter().map(|text| Turn::text(Role::User, *text));
            turns.collect()
        };
        let bytes = Turn::text(Role::User, "a").json_bytes();
        let bounds = |turns_max, turns_bytes_max| SessionBounds {
            ttl_ms: 1,
            turns_max,
            turns_bytes_max,
        };
        let all = turns(&["a", "b", "c", "d"]);
        assert_eq!(
            without_excess(all.clone(), &bounds(2, 1_000)),
            turns(&["b", "c", "d"])
        );
        assert_eq!(
            without_excess(all.clone(), &bounds(9, 2 * bytes)),
            turns(&["b", "c", "d"])
        );
        assert_eq!(without_excess(all.clone(), &bounds(9, 1)), turns(&["d"]));
        assert_eq!(without_excess(all.clone(), &bounds(4, 1_000)), all);
    }
}
