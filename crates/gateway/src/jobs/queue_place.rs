//! The place of a live job in the queue, and the time until it has probably ended.
//!
//! The time comes from how jobs of the class have run in the last seconds: they ended at some rate, and by Little's law they ran for
//! as long as that rate needs to end the jobs that run. Jobs of a class start about in the order of their submits.

use forebay_runtime::gauge::Gauge;
use forebay_shared::{
    class::Class,
    job::JobMeta,
    lane::{Entry, State},
    store::LiveJob,
    time::TimeMs,
};
use schemars::JsonSchema;
use serde::Serialize;

/// The longest expected time, in seconds: one day.
const ETA_S_MAX: f64 = 86_400.0;
/// The longest pause between two polls that is advised, in seconds.
const POLL_S_MAX: u64 = 60;
/// A job that runs for longer than most is expected to run for this part of its time more.
const OVERDUE_PART: f64 = 0.25;

/// What is ahead of a live job.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct QueuePlace {
    /// How many jobs of the session come first. 0 for a job without a session.
    ahead_in_session: usize,
    /// About how many jobs of the class are ready to run and come first. Null while the job waits for its provider.
    ahead_in_class: Option<u64>,
    /// In how many seconds the job has probably ended. Null if no job of the class has ended in the last seconds, and while the job
    /// waits for its provider.
    #[schemars(extend("minimum" = 0))]
    eta_s: Option<f64>,
}

/// How the jobs of a class have run in the last seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ClassSpeed {
    /// The heads that a worker could run now.
    ready: f64,
    /// When the oldest job that no worker has claimed was accepted.
    oldest_waiting: Option<TimeMs>,
    /// How many jobs have ended in a second. 0 if none has.
    ended_per_s: f64,
    /// How long jobs run, in seconds.
    run_s: f64,
}

impl ClassSpeed {
    /// The speed of a class by the newest counts.
    pub(super) fn of(gauge: &Gauge, class: Class) -> Self {
        let totals = gauge.totals(class);
        let ended_per_s = gauge.drained_per_s(class);
        Self {
            ready: count(totals.live.ready),
            oldest_waiting: totals.oldest_waiting,
            ended_per_s,
            run_s: if ended_per_s > 0.0 {
                gauge.mean_in_flight(class) / ended_per_s
            } else {
                0.0
            },
        }
    }

    /// About how many ready jobs were accepted before this time. They were accepted evenly since the oldest one.
    fn ahead_of(&self, accepted_at: TimeMs, now: TimeMs) -> f64 {
        let Some(oldest) = self.oldest_waiting else {
            return 0.0;
        };
        let all_ms = now.since_ms(oldest);
        if all_ms == 0 {
            return self.ready;
        }
        let part = accepted_at.since_ms(oldest) as f64 / all_ms as f64;
        self.ready * part.min(1.0)
    }

    /// How long so many ready jobs take to start, in seconds.
    fn wait_s(&self, jobs: f64) -> f64 {
        jobs / self.ended_per_s
    }
}

impl QueuePlace {
    /// The place of a job that is admitted now, behind so many jobs of its session.
    pub(super) fn of_new(ahead: usize, speed: &ClassSpeed) -> Self {
        Self::waiting(ahead, speed.ready, 0.0, speed)
    }

    /// The place of a live job.
    pub(super) fn of(meta: &JobMeta, job: &LiveJob, speed: &ClassSpeed, now: TimeMs) -> Self {
        let ahead_in_class = if job.ahead == 0 {
            speed.ahead_of(meta.admitted_at(), now)
        } else {
            // The job becomes ready when those of its session have ended, and then others were ready before it.
            speed.ready
        };
        match &job.entry.state {
            State::Running { .. } => Self {
                ahead_in_session: 0,
                ahead_in_class: Some(0),
                eta_s: speed.eta_s(run_left_s(&job.entry, speed, now)),
            },
            State::Deferred(_) => Self {
                ahead_in_session: job.ahead,
                ahead_in_class: None,
                eta_s: None,
            },
            State::Queued { not_before } => {
                let pause_s = not_before.map_or(0.0, |at| at.since_ms(now) as f64 / 1_000.0);
                Self::waiting(job.ahead, ahead_in_class, pause_s, speed)
            }
        }
    }

    /// The place of a job that waits, and whose head of the session waits for `pause_s` before it may run.
    fn waiting(ahead: usize, ahead_in_class: f64, pause_s: f64, speed: &ClassSpeed) -> Self {
        // Each job of the session waits for a worker and runs. The first of them is halfway through.
        let of_session = ahead as f64;
        let session_s = if ahead == 0 {
            0.0
        } else {
            (of_session - 0.5) * speed.run_s + (of_session - 1.0) * speed.wait_s(speed.ready)
        };
        let own_s = speed.wait_s(ahead_in_class) + speed.run_s;
        Self {
            ahead_in_session: ahead,
            ahead_in_class: Some(ahead_in_class as u64),
            eta_s: speed.eta_s(pause_s + session_s + own_s),
        }
    }

    /// When to ask for the job again, in seconds: when it has probably ended. If that is unknown, after half of its age, so that the
    /// questions become fewer.
    pub(super) fn poll_after_s(&self, age_ms: u64) -> u64 {
        let seconds = self.eta_s.unwrap_or(age_ms as f64 / 2_000.0);
        (seconds.ceil() as u64).clamp(1, POLL_S_MAX)
    }
}

impl ClassSpeed {
    /// A time as it is shown, in tenths of a second. `None` if no job has ended lately.
    fn eta_s(&self, seconds: f64) -> Option<f64> {
        let is_known = self.ended_per_s > 0.0;
        is_known.then(|| (seconds.clamp(0.0, ETA_S_MAX) * 10.0).round() / 10.0)
    }
}

/// How long a running job will probably run on, in seconds.
fn run_left_s(entry: &Entry, speed: &ClassSpeed, now: TimeMs) -> f64 {
    let began = entry.attempts.last().map(|attempt| attempt.started_at);
    let run_ms = began.or(entry.started_at).map_or(0, |at| now.since_ms(at));
    let run_s = run_ms as f64 / 1_000.0;
    (speed.run_s - run_s).max(run_s * OVERDUE_PART)
}

fn count(jobs: i64) -> f64 {
    jobs.max(0) as f64
}

#[cfg(test)]
mod tests {
    use forebay_shared::time::TimeMs;

    use super::{ClassSpeed, QueuePlace};

    const SPEED: ClassSpeed = ClassSpeed {
        ready: 100.0,
        oldest_waiting: Some(TimeMs(10_000)),
        ended_per_s: 10.0,
        run_s: 3.0,
    };

    #[test]
    fn a_new_job_waits_for_those_that_are_ready_and_then_runs() {
        let place = QueuePlace::of_new(0, &SPEED);
        assert_eq!(
            (place.ahead_in_session, place.ahead_in_class),
            (0, Some(100))
        );
        assert_eq!(place.eta_s, Some(13.0));
        // The first one of the session has half of its run left, and the second one waits and runs.
        let place = QueuePlace::of_new(2, &SPEED);
        assert_eq!(place.ahead_in_session, 2);
        assert_eq!(place.eta_s, Some(1.5 * 3.0 + 10.0 + 13.0));
    }

    #[test]
    fn older_jobs_come_first() {
        let now = TimeMs(20_000);
        for (accepted_at, ahead) in [(5_000, 0.0), (10_000, 0.0), (12_500, 25.0), (20_000, 100.0)] {
            assert!((SPEED.ahead_of(TimeMs(accepted_at), now) - ahead).abs() < 1e-9);
        }
        let all_at_once = SPEED.ahead_of(TimeMs(10_000), TimeMs(10_000));
        assert!((all_at_once - 100.0).abs() < 1e-9);
    }

    #[test]
    fn without_jobs_that_ended_the_time_is_unknown_and_polls_become_fewer() {
        let place = QueuePlace::of_new(3, &ClassSpeed::default());
        assert_eq!(place.eta_s, None);
        let pauses = [0, 1_000, 9_000, 500_000].map(|age_ms| place.poll_after_s(age_ms));
        assert_eq!(pauses, [1, 1, 5, 60]);
        let known = QueuePlace::of_new(0, &SPEED);
        assert_eq!(known.poll_after_s(0), 13);
    }
}
