//! Reads the counts of the fleet once a second, and computes drain rates and expected waits from them.
//!
//! In a fleet, one process sums the counts and the others read the sums soon after ([`Store::recent_counts`]).

use std::{
    collections::VecDeque,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use forebay_shared::{
    account::AccountKey,
    class::Class,
    ids::TenantId,
    store::{ClassTotals, Counts, RECENT_COUNTS_MS, RecentCounts, Store},
    time::TimeMs,
};

/// How often the counts are read.
pub const SAMPLE_EVERY: Duration = Duration::from_millis(RECENT_COUNTS_MS);
/// A process that did not make the last sum reads the next one this long after it is expected. So the process that made the last sum
/// makes the next one too.
const READ_AFTER_SUM: Duration = Duration::from_millis(50);
/// A process assumes that the next sum takes at most this long.
const SUM_TOOK_MAX: Duration = Duration::from_millis(500);
/// The shortest pause between two reads, for counts that should have been summed again already.
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// The most samples that are kept. A rate is measured between the oldest and the newest of them.
const SAMPLES_MAX: usize = 15;
/// The expected wait when no job has ended lately. A timer is parked for three times the expected wait, and for at least
/// [`REVISIT_MS`](forebay_shared::lane::REVISIT_MS). Three times this value is not more than that minimum. So an unknown
/// wait does not delay the tick that replaces a lost wake.
const WAIT_UNKNOWN_MS: u64 = 20_000;
/// The longest expected wait: one day.
const WAIT_MS_MAX: u64 = 86_400_000;

/// How long a recorded queue depth is valid.
const DEPTH_VALID_FOR: Duration = Duration::from_secs(8);

/// The newest counts, the drain rates of the last seconds, and the depths of the queues if they are known.
#[derive(Default)]
pub struct Gauge {
    samples: RwLock<VecDeque<Sample>>,
    /// The depth of each class's queue, with the time at which it was recorded. In the order of [`Class::ALL`].
    depths: RwLock<[Option<(u64, Instant)>; Class::ALL.len()]>,
}

struct Sample {
    /// The counts have everything that was committed before this time.
    at: Instant,
    /// The time of the counts, by the clock of the store.
    counted_at: TimeMs,
    counts: Arc<Counts>,
    /// The sums of the counts over all tenants. In the order of [`Class::ALL`].
    totals: [ClassTotals; Class::ALL.len()],
}

impl Sample {
    fn new(recent: RecentCounts, at: Instant) -> Self {
        Self {
            at,
            counted_at: recent.at,
            totals: Class::ALL.map(|class| recent.counts.class(class)),
            counts: Arc::new(recent.counts),
        }
    }

    const fn class(&self, class: Class) -> &ClassTotals {
        &self.totals[class as usize]
    }
}

impl Gauge {
    /// Reads the counts once a second, for as long as the future is polled.
    pub async fn run(&self, store: &dyn Store) {
        loop {
            let began = Instant::now();
            let pause = match store.recent_counts().await {
                Ok(recent) => {
                    let read_took = began.elapsed();
                    let pause = pause_after(recent.age, recent.took, read_took);
                    let now = Instant::now();
                    // Counts that were summed during this read may lack what was committed during it.
                    let age = recent.age.max(read_took);
                    let at = now.checked_sub(age).unwrap_or(now);
                    self.record(recent, at);
                    pause
                }
                Err(error) => {
                    tracing::debug!(%error, "the counts could not be read; trying again in 1 s");
                    SAMPLE_EVERY
                }
            };
            sleep(pause).await;
        }
    }

    /// Records counts, unless they are those of the newest sample or older.
    fn record(&self, recent: RecentCounts, at: Instant) {
        let mut samples = self.samples.write().unwrap_or_else(PoisonError::into_inner);
        // Counts with the same store time are the same counts. A lower store time does not show older counts, because the clocks of
        // the processes that sum them differ. So the times of this process decide.
        let is_known = |newest: &Sample| newest.counted_at == recent.at || newest.at > at;
        if samples.back().is_some_and(is_known) {
            return;
        }
        if samples.len() == SAMPLES_MAX {
            samples.pop_front();
        }
        samples.push_back(Sample::new(recent, at));
    }

    /// The newest counts and their age. They include all commits that are older than this age. `None` before the first read.
    #[must_use]
    pub fn counts(&self) -> Option<(Arc<Counts>, Duration)> {
        let samples = self.samples.read().unwrap_or_else(PoisonError::into_inner);
        samples
            .back()
            .map(|sample| (Arc::clone(&sample.counts), sample.at.elapsed()))
    }

    /// Whether jobs wait for this account, by the newest counts.
    #[must_use]
    pub fn has_deferred(&self, account: &AccountKey) -> bool {
        let counts = self.counts();
        counts.is_some_and(|(counts, _)| {
            let mut deferred = counts.deferred.iter();
            deferred.any(|count| count.account == *account)
        })
    }

    /// Records how many wakes of a class wait in the queue.
    pub fn record_depth(&self, class: Class, depth: u64) {
        let mut depths = self.depths.write().unwrap_or_else(PoisonError::into_inner);
        depths[class as usize] = Some((depth, Instant::now()));
    }

    /// Whether the queue of a class holds a wake for each ready head, so that another wake would only be a duplicate.
    /// Returns `false` if the class has no ready head, if the depth of its queue is not known, or if jobs of the class have
    /// ended lately.
    #[must_use]
    pub fn queue_holds_all_wakes(&self, class: Class) -> bool {
        let depths = self.depths.read().unwrap_or_else(PoisonError::into_inner);
        let Some((depth, _)) =
            depths[class as usize].filter(|(_, at)| at.elapsed() < DEPTH_VALID_FOR)
        else {
            return false;
        };
        let ready = self.ready(class);
        // While jobs end, workers take wakes, so the depth may have fallen since it was recorded.
        let is_stalled = self.drained_per_s(class) <= 0.0;
        is_stalled && ready > 0 && depth >= ready
    }

    /// How many jobs of a class have ended per second, over the last seconds.
    #[must_use]
    pub fn drained_per_s(&self, class: Class) -> f64 {
        self.ended_per_s(|sample| sample.class(class).ended)
    }

    /// How many jobs of a class were running on average, over the last seconds.
    #[must_use]
    pub fn mean_in_flight(&self, class: Class) -> f64 {
        let samples = self.samples.read().unwrap_or_else(PoisonError::into_inner);
        let running = samples.iter().map(|sample| {
            let in_flight = sample.class(class).live.in_flight;
            in_flight.max(0)
        });
        #[expect(
            clippy::cast_precision_loss,
            reason = "counts of jobs stay far below 2^53"
        )]
        let (sum, count) = (running.sum::<i64>() as f64, samples.len().max(1) as f64);
        sum / count
    }

    /// How many jobs of a class of one tenant have ended per second, over the last seconds.
    #[must_use]
    pub fn drained_per_s_of(&self, tenant: &TenantId, class: Class) -> f64 {
        self.ended_per_s(|sample| sample.counts.class_of(tenant, class).ended)
    }

    fn ended_per_s(&self, ended: impl Fn(&Sample) -> u64) -> f64 {
        let samples = self.samples.read().unwrap_or_else(PoisonError::into_inner);
        let (Some(first), Some(last)) = (samples.front(), samples.back()) else {
            return 0.0;
        };
        let seconds = (last.at - first.at).as_secs_f64();
        if seconds <= 0.0 {
            return 0.0;
        }
        #[expect(
            clippy::cast_precision_loss,
            reason = "counts of jobs stay far below 2^53"
        )]
        let drained = ended(last).saturating_sub(ended(first)) as f64;
        drained / seconds
    }

    /// The counts of a class over all tenants, by the newest counts; 0 before the first read.
    #[must_use]
    pub fn totals(&self, class: Class) -> ClassTotals {
        let samples = self.samples.read().unwrap_or_else(PoisonError::into_inner);
        let newest = samples.back();
        newest.map_or_else(ClassTotals::default, |sample| *sample.class(class))
    }

    /// The counts of a class of one tenant, by the newest counts; 0 before the first read.
    #[must_use]
    pub fn totals_of(&self, tenant: &TenantId, class: Class) -> ClassTotals {
        let counts = self.counts();
        counts.map_or_else(ClassTotals::default, |(counts, _)| {
            counts.class_of(tenant, class)
        })
    }

    /// How many heads of a class a worker could run now, by the newest counts.
    #[must_use]
    pub fn ready(&self, class: Class) -> u64 {
        u64::try_from(self.totals(class).live.ready).unwrap_or(0)
    }

    /// How long a ready head of a class is expected to wait for a worker, in milliseconds.
    #[must_use]
    pub fn expected_wait_ms(&self, class: Class) -> u64 {
        time_to_drain_ms(self.ready(class), self.drained_per_s(class))
    }

    /// The expected time until `jobs` live jobs of both classes have ended, in milliseconds.
    #[must_use]
    pub fn time_to_drain_ms(&self, jobs: u64) -> u64 {
        time_to_drain_ms(
            jobs,
            Class::ALL
                .iter()
                .map(|class| self.drained_per_s(*class))
                .sum(),
        )
    }
}

/// The pause before the next read, after counts of this age. Their sum took `sum_took`, and the read `read_took`. If the read
/// took as long as the age, this process made the sum.
fn pause_after(age: Duration, sum_took: Duration, read_took: Duration) -> Duration {
    let age_at_next_read = if age <= read_took {
        SAMPLE_EVERY
    } else {
        // The next sum begins at this age, and takes about as long as the last one.
        SAMPLE_EVERY + sum_took.min(SUM_TOOK_MAX) + READ_AFTER_SUM
    };
    age_at_next_read.saturating_sub(age).max(PAUSE_MIN)
}

fn time_to_drain_ms(jobs: u64, drained_per_s: f64) -> u64 {
    if jobs == 0 {
        return 0;
    }
    if drained_per_s <= 0.0 {
        return WAIT_UNKNOWN_MS;
    }
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate, bounded on the next line"
    )]
    let time_ms = (jobs as f64 / drained_per_s * 1_000.0) as u64;
    time_ms.min(WAIT_MS_MAX)
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use tokio::time::Instant;

    use super::{Gauge, WAIT_UNKNOWN_MS, pause_after};
    use forebay_shared::{
        class::Class,
        ids::TenantId,
        lane::ClassCounts,
        store::{Counts, RecentCounts, TenantClassCounts},
        time::TimeMs,
    };

    fn counts(ready: i64, ended: u64) -> Counts {
        let live = ClassCounts {
            ready,
            ..ClassCounts::default()
        };
        let tenant = TenantId::default();
        let class = Class::Interactive;
        Counts {
            rows: vec![TenantClassCounts {
                tenant,
                class,
                live,
                ended,
                oldest_waiting: None,
            }],
            deferred: Vec::new(),
            sessions: 0,
        }
    }

    fn recent(counts: Counts, at_ms: u64) -> RecentCounts {
        RecentCounts {
            counts,
            at: TimeMs(at_ms),
            age: Duration::ZERO,
            took: Duration::ZERO,
        }
    }

    #[test]
    fn a_queue_as_deep_as_the_number_of_ready_heads_holds_all_wakes() {
        let gauge = Gauge::default();
        gauge.record(recent(counts(100, 0), 0), Instant::now());
        assert!(
            !gauge.queue_holds_all_wakes(Class::Interactive),
            "no depth is recorded"
        );
        gauge.record_depth(Class::Interactive, 99);
        assert!(!gauge.queue_holds_all_wakes(Class::Interactive));
        gauge.record_depth(Class::Interactive, 100);
        assert!(gauge.queue_holds_all_wakes(Class::Interactive));
        gauge.record_depth(Class::Batch, 5);
        assert!(
            !gauge.queue_holds_all_wakes(Class::Batch),
            "the class has no ready job"
        );
    }

    #[test]
    fn a_process_reads_the_counts_soon_after_their_next_sum() {
        let ms = Duration::from_millis;
        // This process made the sum: it makes the next one, too.
        assert_eq!(pause_after(ms(5), ms(5), ms(6)), ms(995));
        assert_eq!(pause_after(ms(300), ms(0), ms(2)), ms(750));
        // The next sum is read after it is made, however long it takes.
        assert_eq!(pause_after(ms(300), ms(200), ms(2)), ms(950));
        assert_eq!(pause_after(ms(300), ms(9_000), ms(2)), ms(1_250));
        // The next sum is late.
        assert_eq!(pause_after(ms(1_300), ms(2), ms(2)), ms(250));
    }

    #[test]
    fn counts_are_recorded_once() {
        let gauge = Gauge::default();
        let start = Instant::now();
        let ms = Duration::from_millis;
        gauge.record(recent(counts(1, 0), 5_000), start);
        let (first, _) = gauge.counts().unwrap();
        // Two reads of the same counts estimate slightly different times of their sum.
        gauge.record(recent(counts(1, 0), 5_000), start + ms(3));
        let (again, _) = gauge.counts().unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        gauge.record(recent(counts(2, 0), 4_000), start - ms(1_000));
        assert_eq!(gauge.ready(Class::Interactive), 1);
        gauge.record(recent(counts(3, 0), 6_000), start + ms(1_000));
        assert_eq!(gauge.ready(Class::Interactive), 3);
    }

    #[test]
    fn a_rate_is_measured_between_the_oldest_and_the_newest_sample() {
        let gauge = Gauge::default();
        let start = Instant::now();
        gauge.record(recent(counts(100, 1_000), 0), start);
        assert_eq!(gauge.expected_wait_ms(Class::Interactive), WAIT_UNKNOWN_MS);
        gauge.record(
            recent(counts(100, 1_040), 2_000),
            start + Duration::from_secs(2),
        );
        assert!((gauge.drained_per_s(Class::Interactive) - 20.0).abs() < 1e-9);
        assert_eq!(gauge.expected_wait_ms(Class::Interactive), 5_000);
        assert_eq!(gauge.time_to_drain_ms(10), 500);
        assert_eq!(gauge.expected_wait_ms(Class::Batch), 0);
    }
}
