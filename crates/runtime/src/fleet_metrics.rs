//! The fleet-wide metrics, which gateways report. They are read at each scrape from what the member knows already. Only the age of
//! the earliest due timer costs a small read of the store, every few seconds.
//!
//! They describe the fleet, as this gateway knows it. A gateway that has lost the store reports no old values: without recent counts,
//! it leaves out what depends on them; without a recent presence, the processes; and after a failed read, the age of the timer. The
//! accounts are in `account_metrics`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use forebay_metrics::sampled::{Labels, flag, number, one};
use forebay_shared::{
    class::Class,
    ids::ProcessId,
    lane::ClassCounts,
    store::{Counts, Store},
    time::TimeMs,
};
use tokio::time::{MissedTickBehavior, interval};

use crate::{gauge::Gauge, member::Member};

/// Counts of this age or older are not reported.
const COUNTS_AGE_MAX: Duration = Duration::from_secs(10);
/// How often the earliest due timer is read.
const TIMER_INTERVAL: Duration = Duration::from_secs(5);

/// How long the earliest due timer is overdue. Cheap to clone.
#[derive(Clone, Debug)]
pub struct TimerOverdue(Arc<AtomicU64>);

/// The value while the time is not known.
const UNKNOWN: u64 = u64::MAX;

impl Default for TimerOverdue {
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(UNKNOWN)))
    }
}

impl TimerOverdue {
    /// Reads the earliest due timer every five seconds, for as long as the future is polled.
    pub async fn watch(&self, store: &dyn Store) {
        let mut interval = interval(TIMER_INTERVAL);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            interval.tick().await;
            let now = store.now();
            let overdue_ms = match store.due_timers(now, 1).await {
                Ok(due) => due.first().map_or(0, |timer| now.since_ms(timer.at)),
                Err(error) => {
                    tracing::debug!(%error, "the earliest due timer could not be read; trying again in 5 s");
                    UNKNOWN
                }
            };
            self.0.store(overdue_ms, Ordering::Relaxed);
        }
    }

    fn seconds(&self) -> Option<f64> {
        let overdue_ms = self.0.load(Ordering::Relaxed);
        (overdue_ms != UNKNOWN).then(|| seconds(overdue_ms))
    }
}

impl Member {
    /// Registers the fleet-wide metrics, which gateways report. `jobs_max` is the limit on live jobs.
    pub fn register_fleet_metrics(&self, jobs_max: u64, overdue: TimerOverdue) {
        let metrics = &self.metrics;
        let gauge = Arc::clone(&self.gauge);
        metrics.sampled_gauge(
            "forebay_jobs",
            "Live jobs of the fleet, by what they wait for",
            move || recent_counts(&gauge).map_or_else(Vec::new, |counts| jobs(&counts)),
        );
        metrics.sampled_gauge(
            "forebay_jobs_max",
            "The number of live jobs at which submits are refused",
            move || one(Some(number(jobs_max))),
        );
        let gauge = Arc::clone(&self.gauge);
        metrics.sampled_counter(
            "forebay_jobs_ended",
            "Jobs of the fleet that have ended",
            move || recent_counts(&gauge).map_or_else(Vec::new, |counts| ended(&counts)),
        );
        let (gauge, store) = (Arc::clone(&self.gauge), Arc::clone(&self.store));
        metrics.sampled_gauge(
            "forebay_oldest_queued_seconds",
            "Age of the oldest queued job; 0 if there is none",
            move || {
                recent_counts(&gauge).map_or_else(Vec::new, |counts| oldest(&counts, store.now()))
            },
        );
        let gauge = Arc::clone(&self.gauge);
        metrics.sampled_gauge("forebay_sessions", "Sessions of the fleet", move || {
            one(recent_counts(&gauge).map(|counts| number(counts.sessions)))
        });
        metrics.sampled_gauge(
            "forebay_timer_overdue_seconds",
            "How long the earliest due timer is overdue; 0 if none is due",
            move || one(overdue.seconds()),
        );
        let presence = self.presence.clone();
        metrics.sampled_gauge(
            "forebay_processes",
            "Live processes of the fleet, by role",
            move || {
                let live = presence.live_processes();
                live.map_or_else(Vec::new, |live| {
                    roles(live.alive.iter().map(ProcessId::as_str))
                })
            },
        );
        let (gauge, store) = (Arc::clone(&self.gauge), Arc::clone(&self.store));
        metrics.sampled_gauge(
            "forebay_store_full",
            "Whether the store has no space for new jobs",
            move || one(recent_counts(&gauge).map(|_| flag(store.is_full()))),
        );
    }
}

/// The counts of the fleet, unless they are too old to report.
pub(crate) fn recent_counts(gauge: &Gauge) -> Option<Arc<Counts>> {
    let (counts, age) = gauge.counts()?;
    (age < COUNTS_AGE_MAX).then_some(counts)
}

/// The live jobs of each class and state. The states are those of `GET /v1/queues`.
fn jobs(counts: &Counts) -> Vec<(Labels, f64)> {
    let classes = Class::ALL.into_iter().flat_map(|class| {
        let ClassCounts {
            ready,
            in_flight,
            behind_session,
            retry_wait,
            provider_wait,
        } = counts.class(class).live;
        [
            ("ready", ready),
            ("in_flight", in_flight),
            ("behind_session", behind_session),
            ("retry_wait", retry_wait),
            ("provider_wait", provider_wait),
        ]
        .map(|(state, jobs)| {
            let labels = vec![("class", class.as_str().into()), ("state", state.into())];
            (labels, number(u64::try_from(jobs).unwrap_or(0)))
        })
    });
    classes.collect()
}

fn ended(counts: &Counts) -> Vec<(Labels, f64)> {
    let classes = Class::ALL.into_iter();
    classes
        .map(|class| (class_label(class), number(counts.class(class).ended)))
        .collect()
}

fn oldest(counts: &Counts, now: TimeMs) -> Vec<(Labels, f64)> {
    let age = |class| {
        counts
            .class(class)
            .oldest_waiting
            .map_or(0, |since| now.since_ms(since))
    };
    let classes = Class::ALL.into_iter();
    classes
        .map(|class| (class_label(class), seconds(age(class))))
        .collect()
}

/// The number of processes by role. The id of a process begins with its role. A process with both parts, whose id begins with
/// `forebay`, has the role `all`.
fn roles<'a>(processes: impl Iterator<Item = &'a str>) -> Vec<(Labels, f64)> {
    let mut counts = [("gateway", 0_u32), ("worker", 0), ("all", 0)];
    for process in processes {
        let role = match process.split('-').next() {
            Some("gateway") => 0,
            Some("worker") => 1,
            _ => 2,
        };
        counts[role].1 += 1;
    }
    counts
        .map(|(role, number)| (vec![("role", role.into())], f64::from(number)))
        .into()
}

fn class_label(class: Class) -> Labels {
    vec![("class", class.as_str().into())]
}

fn seconds(ms: u64) -> f64 {
    Duration::from_millis(ms).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::roles;

    #[test]
    fn processes_are_counted_by_the_role_in_their_ids() {
        let counted = roles(["worker-1", "gateway-1", "worker-2", "forebay-1"].into_iter());
        let counts: Vec<f64> = counted.into_iter().map(|(_, number)| number).collect();
        assert_eq!(counts, [1.0, 2.0, 1.0]);
    }
}
