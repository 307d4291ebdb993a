//! The requests that a scripted LLM received, and how each ended.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::request_log::{Recorded, RequestOutcome};

/// The calls that were recorded so far, in the order of arrival.
#[derive(Clone, Debug)]
pub struct RecordedCalls(Vec<Recorded>);

impl RecordedCalls {
    pub(super) const fn new(records: Vec<Recorded>) -> Self {
        Self(records)
    }

    /// The number of calls, whatever their outcome is.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.0.len()
    }

    /// The number of calls that were answered with this HTTP status.
    #[must_use]
    pub fn answered_with(&self, status: u16) -> usize {
        self.answer_times(status).count()
    }

    /// The number of calls that were answered with 200.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.answered_with(200)
    }

    /// The number of calls that were answered with 429.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.answered_with(429)
    }

    /// When the first answer with this HTTP status was sent.
    #[must_use]
    pub fn first_answer_at(&self, status: u16) -> Option<Instant> {
        self.answer_times(status).min()
    }

    /// When the last answer with this HTTP status was sent.
    #[must_use]
    pub fn last_answer_at(&self, status: u16) -> Option<Instant> {
        self.answer_times(status).max()
    }

    /// The time from `since` to the arrival of each call that was answered with this HTTP status, in the order of arrival.
    /// It is zero for a call that arrived before `since`.
    #[must_use]
    pub fn arrivals_since(&self, status: u16, since: Instant) -> Vec<Duration> {
        let answered = self.0.iter().filter(|record| {
            matches!(record.ended, Some((RequestOutcome::Answered(of), _)) if of == status)
        });
        let arrivals = answered.map(|record| record.request.arrived_at);
        arrivals
            .map(|at| at.saturating_duration_since(since))
            .collect()
    }

    /// The arrival times of the calls that were answered with 200.
    #[must_use]
    pub fn accepted_arrivals(&self) -> Vec<Instant> {
        let accepted = self.0.iter().filter(|record| record.is_ok());
        accepted.map(|record| record.request.arrived_at).collect()
    }

    /// The calls that arrived after this time. The calls in flight at this time are not among them.
    #[must_use]
    pub fn after(&self, time: Instant) -> Self {
        self.filter(|record| record.request.arrived_at > time)
    }

    /// The calls that arrived within this time after the first one.
    #[must_use]
    pub fn within(&self, time: Duration) -> Self {
        let first = self.0.iter().map(|record| record.request.arrived_at).min();
        self.filter(|record| first.is_some_and(|first| record.request.arrived_at <= first + time))
    }

    /// The calls that were in flight at this time.
    #[must_use]
    pub fn in_flight_at(&self, time: Instant) -> Self {
        self.filter(|record| {
            let has_ended = record.ended.as_ref().is_some_and(|(_, at)| *at < time);
            record.request.arrived_at <= time && !has_ended
        })
    }

    /// How often each input was answered with 200. An input is the text of a call's last user message. An input that was
    /// never answered with 200 is included, with 0.
    #[must_use]
    pub fn answers_by_input(&self) -> BTreeMap<String, usize> {
        let mut answers = BTreeMap::new();
        for record in &self.0 {
            let count = answers.entry(record.request.last_user_text()).or_default();
            *count += usize::from(record.is_ok());
        }
        answers
    }

    fn answer_times(&self, status: u16) -> impl Iterator<Item = Instant> {
        self.0.iter().filter_map(move |record| match record.ended {
            Some((RequestOutcome::Answered(of), at)) if of == status => Some(at),
            _ => None,
        })
    }

    fn filter(&self, is_kept: impl Fn(&Recorded) -> bool) -> Self {
        let kept = self.0.iter().filter(|record| is_kept(record));
        Self(kept.cloned().collect())
    }
}
