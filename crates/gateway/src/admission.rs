//! Whether submits are accepted now: the backlog bound, the health of the dispatch, room in the store.
//!
//! The decision is a pure function of readings; gathering those is this file's other half. A full
//! session is not decided here but by the lane's own rules.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use forebay_runtime::member::Member;
use forebay_shared::store::Counts;

use crate::problem::{Code, Problem};

/// How long wakes may go unconfirmed before submits are refused.
const UNCONFIRMED_MAX: Duration = Duration::from_secs(30);
/// For how long a store that said it is full is taken to be; then only a submit can tell.
const FULL_TIME: Duration = Duration::from_secs(10);
/// The longest pause that is advised, in seconds.
const RETRY_AFTER_S_MAX: u64 = 300;

/// What the decision rests on.
#[derive(Clone, Copy, Debug)]
struct Readings {
    /// Live jobs of the whole store, those admitted here since they were counted among them.
    live: u64,
    backlog_max: u64,
    /// For how long no wake has been confirmed although some were tried.
    unconfirmed_for: Duration,
    /// Whether the store said lately that it is full, and has taken no job since.
    store_full: bool,
    /// Whether the store has answered within the presence time.
    store_answers: bool,
}

/// Why submits are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    StoreUnavailable,
    StoreFull,
    DispatchUnhealthy,
    /// So many jobs have to end before the next is accepted.
    BacklogFull {
        excess: u64,
    },
}

const fn decide(readings: &Readings) -> Option<Refusal> {
    if !readings.store_answers {
        return Some(Refusal::StoreUnavailable);
    }
    if readings.store_full {
        return Some(Refusal::StoreFull);
    }
    if readings.unconfirmed_for.as_millis() > UNCONFIRMED_MAX.as_millis() {
        return Some(Refusal::DispatchUnhealthy);
    }
    if readings.live >= readings.backlog_max {
        let excess = readings.live - readings.backlog_max + 1;
        return Some(Refusal::BacklogFull { excess });
    }
    None
}

/// Gathers the readings and keeps count of what this process admits between two samples.
pub(crate) struct Admission {
    backlog_max: u64,
    window: Mutex<Window>,
}

/// What is known since the newest sample of the counts.
#[derive(Default)]
struct Window {
    /// The sample, kept so that a new one is told by its address.
    sample: Option<Arc<Counts>>,
    /// Its live jobs.
    live: u64,
    /// Jobs admitted, or being admitted, by this process since.
    admitted: u64,
    /// When the store said that it is full, unless it has taken a job since.
    full_at: Option<Instant>,
}

impl Admission {
    pub(crate) fn new(backlog_max: u64) -> Self {
        Self {
            backlog_max,
            window: Mutex::default(),
        }
    }

    /// Takes a place for one job, or says why there is none. A place that comes to nothing is given
    /// back by the next sample, which is no more than a second away; in turn, jobs that are admitted
    /// while a sample is on its way, or by other gateways since, are not counted until the next.
    ///
    /// Whether the store answers and has room is not asked: the submit itself finds out, and is how it
    /// is learnt that there is room again.
    pub(crate) fn take_place(&self, member: &Member) -> Result<(), Problem> {
        let readings = Readings {
            store_full: false,
            store_answers: true,
            ..self.read(member)
        };
        if let Some(refusal) = decide(&readings) {
            return Err(self.problem(refusal, member));
        }
        self.lock().admitted += 1;
        Ok(())
    }

    /// Whether a submit would be accepted, for those who route traffic.
    pub(crate) fn ready(&self, member: &Member) -> Result<(), Problem> {
        match decide(&self.read(member)) {
            Some(refusal) => Err(self.problem(refusal, member)),
            None => Ok(()),
        }
    }

    /// What the store said to an admission: that it is full, or not.
    pub(crate) fn note_store(&self, full: bool) {
        self.lock().full_at = full.then(Instant::now);
    }

    fn read(&self, member: &Member) -> Readings {
        let sample = member.gauge.counts();
        let mut window = self.lock();
        if let Some((sample, _)) = sample
            && !window
                .sample
                .as_ref()
                .is_some_and(|old| Arc::ptr_eq(old, &sample))
        {
            window.live = sample.live();
            window.admitted = 0;
            window.sample = Some(sample);
        }
        Readings {
            live: window.live.saturating_add(window.admitted),
            backlog_max: self.backlog_max,
            unconfirmed_for: member.wakes.unconfirmed_for(),
            store_full: window.full_at.is_some_and(|at| at.elapsed() < FULL_TIME),
            store_answers: member.presence.in_touch(),
        }
    }

    fn problem(&self, refusal: Refusal, member: &Member) -> Problem {
        match refusal {
            Refusal::StoreUnavailable => {
                let detail = "the store has not answered for a while";
                Problem::new(Code::StoreUnavailable, detail).retry_after(2)
            }
            Refusal::StoreFull => {
                let detail = "the store had no room for the last job that was submitted";
                Problem::new(Code::StoreFull, detail).retry_after(10)
            }
            Refusal::DispatchUnhealthy => {
                let detail = "the queue has confirmed no message for a while";
                Problem::new(Code::DispatchUnhealthy, detail).retry_after(5)
            }
            Refusal::BacklogFull { excess } => {
                // A tenth of the bound more, so that those who come back find room together.
                let jobs = excess.saturating_add(self.backlog_max / 10);
                let wait_s = member.gauge.time_to_drain_ms(jobs).div_ceil(1_000);
                let detail = format!("at most {} jobs may be live", self.backlog_max);
                Problem::new(Code::BacklogFull, detail)
                    .retry_after(wait_s.clamp(1, RETRY_AFTER_S_MAX))
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Readings, Refusal, decide};

    const FINE: Readings = Readings {
        live: 9,
        backlog_max: 10,
        unconfirmed_for: Duration::from_secs(30),
        store_full: false,
        store_answers: true,
    };

    #[test]
    fn submits_are_accepted_up_to_each_bound() {
        assert_eq!(decide(&FINE), None);
    }

    #[test]
    fn each_bound_refuses_with_its_own_reason() {
        let full = Readings { live: 12, ..FINE };
        assert_eq!(decide(&full), Some(Refusal::BacklogFull { excess: 3 }));
        let stuck = Readings {
            unconfirmed_for: Duration::from_millis(30_001),
            ..FINE
        };
        assert_eq!(decide(&stuck), Some(Refusal::DispatchUnhealthy));
        let no_room = Readings {
            store_full: true,
            ..FINE
        };
        assert_eq!(decide(&no_room), Some(Refusal::StoreFull));
        let away = Readings {
            store_answers: false,
            ..full
        };
        assert_eq!(decide(&away), Some(Refusal::StoreUnavailable));
    }
}
