//! The writes of the store in memory: commits and the moves of timers.

use std::sync::Arc;

use forebay_shared::{
    class::Class,
    ids::TenantId,
    lane::{ClassCounts, LaneCounts},
    store::{
        Commit, CommitResult, DeferredChange, LoadedRunInputs, NewJob, RepairedJob, StoreError,
        Timer, TimerMove,
    },
};

use super::State;

impl State {
    pub(super) fn commit(&mut self, commit: &Commit) -> Result<CommitResult, StoreError> {
        let version = self.lanes.get(&commit.lane).map(|(_, version)| *version);
        let exists = |new_job: &Arc<NewJob>| self.jobs.contains_key(&new_job.meta.id);
        let has_same_fence = |repaired: &RepairedJob| {
            let (_, outcome) = self.jobs.get(&repaired.meta.id)?;
            Some(outcome.as_ref()?.fence == repaired.fence)
        };
        let is_outcome_changed = |repaired: &RepairedJob| has_same_fence(repaired) != Some(true);
        if version != commit.expected
            || commit.admitted.iter().any(exists)
            || commit.repaired.iter().any(is_outcome_changed)
        {
            let newer = self.load(&commit.lane, &commit.outcomes_of, commit.run_inputs_of);
            return Ok(CommitResult::Conflict(Box::new(newer)));
        }
        if self.is_turn_gone(commit) {
            return Err(StoreError::TurnGone);
        }
        let needed = commit.run_inputs_of.filter(|_| commit.needs_run_inputs);
        let run_inputs =
            needed.map(|job| LoadedRunInputs::Inline(Box::new(self.run_inputs(&commit.lane, job))));
        let before = self.lanes.get(&commit.lane);
        let before = before.map(|(lane, _)| lane.clone()).unwrap_or_default();
        assert_eq!(
            commit.deferred,
            DeferredChange::between(&before, &commit.next),
            "the index of deferred heads does not follow the lane"
        );
        if commit.next.is_empty() {
            self.lanes.remove(&commit.lane);
        } else {
            let document = (commit.next.clone(), commit.version);
            self.lanes.insert(commit.lane.clone(), document);
        }
        for new_job in &commit.admitted {
            self.jobs
                .insert(new_job.meta.id, (Arc::clone(new_job), None));
        }
        for job in &commit.repaired {
            let (record, outcome) = self.jobs.get_mut(&job.meta.id).unwrap();
            *outcome = None;
            *record = Arc::new(NewJob {
                meta: (*job.meta).clone(),
                request: record.request.clone(),
            });
        }
        for ended in &commit.ended {
            let (_, outcome) = self.jobs.get_mut(&ended.job).unwrap();
            assert!(outcome.is_none(), "a job ends once");
            *outcome = Some(ended.outcome.clone());
        }
        for (job, timer) in &commit.timers {
            match timer {
                Some(at) => drop(self.timers.insert(*job, (commit.lane.clone(), *at))),
                None => drop(self.timers.remove(job)),
            }
        }
        if let (Some(write), Some(session)) = (&commit.session, commit.lane.session()) {
            let key = (commit.lane.tenant().clone(), session.clone());
            let conversation = self.sessions.entry(key).or_default();
            let next = conversation.numbers.last().map_or(0, |last| last + 1);
            if let Some(number) = write.replace_from_turn {
                let index = conversation.numbers.binary_search(&number).unwrap();
                conversation.turns.truncate(index);
                conversation.numbers.truncate(index);
            }
            let numbers = next..next + write.append.len() as u64;
            conversation.turns.extend(write.append.iter().cloned());
            conversation.numbers.extend(numbers);
            conversation.token_measure = write.token_measure.or(conversation.token_measure);
        }
        for class in Class::ALL {
            let ended = commit
                .ended
                .iter()
                .filter(|ended| ended.class == class)
                .count();
            let tenant = commit.lane.tenant();
            self.count(tenant, class, commit.counts[class], ended as u64);
        }
        self.commits.push(commit.clone());
        self.check(commit);
        Ok(CommitResult::Done(run_inputs))
    }

    /// Whether the commit's `replace_from_turn` is a number that no turn of the session has.
    fn is_turn_gone(&self, commit: &Commit) -> bool {
        let replaced = commit.session.as_ref();
        let Some(number) = replaced.and_then(|write| write.replace_from_turn) else {
            return false;
        };
        let tenant = commit.lane.tenant().clone();
        let session = commit.lane.session().cloned();
        let stored = session.and_then(|session| self.sessions.get(&(tenant, session)));
        !stored.is_some_and(|conversation| conversation.numbers.contains(&number))
    }

    fn count(&mut self, tenant: &TenantId, class: Class, delta: ClassCounts, ended: u64) {
        let (live, ended_total) = self.counts.entry((tenant.clone(), class)).or_default();
        *live += delta;
        *ended_total += ended;
    }

    /// Checks what must hold after every commit.
    fn check(&self, commit: &Commit) {
        for entry in &commit.next.entries {
            assert!(
                self.timers.contains_key(&entry.job),
                "a live job has a timer"
            );
        }
        for ended in &commit.ended {
            let is_live = commit.next.find(ended.job).is_some();
            assert!(!is_live, "an ended job is not in the lane");
            let has_timer = self.timers.contains_key(&ended.job);
            assert!(!has_timer, "an ended job has no timer");
        }
        let mut live = [0; Class::ALL.len()];
        for (lane, _) in self.lanes.values() {
            for (class, live) in Class::ALL.into_iter().zip(&mut live) {
                *live += LaneCounts::of(lane)[class].live();
            }
        }
        for (class, live) in Class::ALL.into_iter().zip(live) {
            let rows = self.counts.iter().filter(|((_, of), _)| *of == class);
            assert_eq!(rows.map(|(_, (live, _))| live.live()).sum::<i64>(), live);
        }
    }

    pub(super) fn remove_orphan_timers(&mut self, timers: &[Timer]) -> Vec<bool> {
        let mut removed = Vec::with_capacity(timers.len());
        for Timer { job, lane, at } in timers {
            let is_unchanged = self.timers.get(job) == Some(&(lane.clone(), *at));
            let document = self.lanes.get(lane);
            let is_live = document.is_some_and(|(lane, _)| lane.find(*job).is_some());
            let is_orphan = is_unchanged && !is_live;
            if is_orphan {
                self.timers.remove(job);
            }
            removed.push(is_orphan);
        }
        removed
    }

    pub(super) fn move_timers(&mut self, moves: &[TimerMove]) -> Vec<bool> {
        let mut moved = Vec::with_capacity(moves.len());
        for TimerMove { job, from, to } in moves {
            let timer = self.timers.get_mut(job).filter(|(_, at)| at == from);
            moved.push(timer.map(|(_, at)| *at = *to).is_some());
        }
        moved
    }
}
