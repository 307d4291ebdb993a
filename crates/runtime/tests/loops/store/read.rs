//! The reads of the store in memory.

use forebay_shared::{
    ids::{JobId, LaneKey, SessionId, TenantId},
    lane::{HeadState, OutcomeSummary},
    session::{SessionInfo, StoredTurn},
    store::{Head, HeadFilter, LoadedLane, LoadedRunInputs, RunInputs, SessionRemoval, Timer},
    time::TimeMs,
};

use super::State;

impl State {
    pub(super) fn load(
        &self,
        lane: &LaneKey,
        outcomes_of: &[JobId],
        run_inputs_of: Option<JobId>,
    ) -> LoadedLane {
        let (document, version) = match self.lanes.get(lane) {
            Some((document, version)) => (document.clone(), Some(*version)),
            None => Default::default(),
        };
        let outcomes = outcomes_of
            .iter()
            .filter_map(|job| Some((*job, self.outcome(*job)?)));
        let run_inputs = run_inputs_of
            .filter(|job| document.find(*job).is_some())
            .map(|job| match document.head_state() {
                Some(HeadState::Running(_)) => LoadedRunInputs::LeftOut { bytes: 1 },
                _ => LoadedRunInputs::Inline(Box::new(self.run_inputs(lane, job))),
            });
        LoadedLane {
            outcomes: outcomes.collect(),
            run_inputs,
            lane: document,
            version,
        }
    }

    fn outcome(&self, job: JobId) -> Option<OutcomeSummary> {
        let (_, outcome) = self.jobs.get(&job)?;
        outcome.as_ref().map(|outcome| OutcomeSummary {
            status: outcome.status,
            fence: outcome.fence,
            settled_fence: outcome.settled_fence,
        })
    }

    pub(super) fn run_inputs(&self, lane: &LaneKey, job: JobId) -> RunInputs {
        let (new_job, _) = &self.jobs[&job];
        let session = lane
            .session()
            .map(|session| (lane.tenant().clone(), session.clone()));
        let conversation = session.and_then(|session| self.sessions.get(&session));
        RunInputs {
            meta: new_job.meta.clone(),
            request: new_job.request.clone(),
            conversation: conversation.cloned().unwrap_or_default(),
        }
    }

    pub(super) fn heads(&self, filter: &HeadFilter) -> Vec<Head> {
        let matches = |state: &HeadState| match (filter, state) {
            (HeadFilter::Running, HeadState::Running(_)) => true,
            (HeadFilter::Ready(class), HeadState::Ready(of)) => class == of,
            _ => false,
        };
        self.lanes
            .iter()
            .filter_map(|(key, (lane, _))| {
                let state = lane.head_state().filter(matches)?;
                let head = lane.head()?;
                Some(Head {
                    lane: key.clone(),
                    job: head.job,
                    admitted_at: head.admitted_at,
                    deadline: head.deadline,
                    timer: self.timers[&head.job].1,
                    worker: match state {
                        HeadState::Running(worker) => Some(worker),
                        _ => None,
                    },
                })
            })
            .collect()
    }

    pub(super) fn due_timers(&self, now: TimeMs, limit: usize) -> Vec<Timer> {
        let mut due: Vec<Timer> = self
            .timers
            .iter()
            .filter(|(_, (_, at))| *at <= now)
            .map(|(job, (lane, at))| Timer {
                job: *job,
                lane: lane.clone(),
                at: *at,
            })
            .collect();
        due.sort_by_key(|timer| timer.at);
        due.truncate(limit);
        due
    }

    pub(super) fn session(&self, tenant: &TenantId, session: &SessionId) -> Option<SessionInfo> {
        let turns = self.turns(tenant, session)?;
        Some(SessionInfo {
            turn_count: turns.len() as u64,
            first_turn: turns.first().map_or(0, |turn| turn.number),
            next_turn: turns.last().map_or(0, |turn| turn.number + 1),
            turns_bytes: turns.iter().map(|turn| turn.json.len() as u64).sum(),
            turns: Some(turns),
            settings: None,
            created_at: TimeMs(0),
            updated_at: TimeMs(0),
            expires_at: None,
            live_jobs: self.live_jobs(tenant, session),
        })
    }

    pub(super) fn turns(&self, tenant: &TenantId, session: &SessionId) -> Option<Vec<StoredTurn>> {
        let conversation = self.sessions.get(&(tenant.clone(), session.clone()))?;
        let turns = conversation.numbers.iter().zip(&conversation.turns);
        let turns = turns.map(|(number, turn)| StoredTurn {
            number: *number,
            json: serde_json::to_vec(turn).unwrap(),
        });
        Some(turns.collect())
    }

    pub(super) fn remove_session(
        &mut self,
        tenant: &TenantId,
        session: &SessionId,
    ) -> SessionRemoval {
        if self.live_jobs(tenant, session) > 0 {
            return SessionRemoval::HasLiveJobs;
        }
        let (tenant, session) = (tenant.clone(), session.clone());
        let removed = self.sessions.remove(&(tenant.clone(), session.clone()));
        self.lanes.remove(&LaneKey::Session { tenant, session });
        match removed {
            Some(_) => SessionRemoval::Removed,
            None => SessionRemoval::NotFound,
        }
    }

    fn live_jobs(&self, tenant: &TenantId, session: &SessionId) -> usize {
        let (tenant, session) = (tenant.clone(), session.clone());
        self.lanes
            .get(&LaneKey::Session { tenant, session })
            .map_or(0, |(lane, _)| lane.entries.len())
    }
}
