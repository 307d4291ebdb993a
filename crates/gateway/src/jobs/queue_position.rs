//! The position of a live job in the queue, and the time until it has probably ended.
//!
//! The time is estimated from the jobs of the class in the last seconds. By Little's law, their mean run time is the number of running
//! jobs divided by the rate at which jobs ended. Jobs of a class start about in the order of their submits.

use forebay_runtime::gauge::Gauge;
use forebay_shared::{
    class::Class,
    job::JobMeta,
    lane::State,
    store::{LaneHead, LiveJob},
    time::TimeMs,
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::{auth::Caller, retry_after::pause_s};

/// The longest expected time, in seconds: one day.
const ETA_S_MAX: f64 = 86_400.0;
/// A running job is expected to run on for at least this fraction of the time that it has run.
const OVERDUE_PART: f64 = 0.25;

/// What is ahead of a live job.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, JsonSchema)]
pub(crate) struct QueuePosition {
    /// How many jobs of the session come first. 0 for a job without a session.
    ahead_in_session: usize,
    /// About how many ready jobs of the class come first. With an API key without the scope `admin`, only jobs of the key's tenant
    /// count. Null while the session waits for its provider.
    ahead_in_class: Option<u64>,
    /// In how many seconds the job has probably ended. Null if no job of the class has ended in the last seconds, and while the
    /// session waits for its provider.
    #[schemars(extend("minimum" = 0))]
    eta_s: Option<f64>,
}

/// How the jobs of a class have run in the last seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ClassSpeed {
    /// How many heads a worker could run now.
    ready: f64,
    /// When the oldest queued job was accepted.
    oldest_waiting: Option<TimeMs>,
    /// The rate at which jobs ended, in jobs per second. 0 if none has ended lately.
    ended_per_s: f64,
    /// The mean run time of a job, in seconds.
    run_s: f64,
    /// The fraction of the ready jobs that the caller may know of: its tenant's jobs, or all.
    shown_part: f64,
}

impl ClassSpeed {
    /// The speed of a class by the newest counts, for this caller.
    pub(super) fn of(gauge: &Gauge, class: Class, caller: &Caller) -> Self {
        let totals = gauge.totals(class);
        let ready = count(totals.live.ready);
        let shown_part = if caller.sees_all_tenants() || ready <= 0.0 {
            1.0
        } else {
            let of_tenant = gauge.totals_of(caller.tenant(), class);
            count(of_tenant.live.ready) / ready
        };
        let ended_per_s = gauge.drained_per_s(class);
        Self {
            ready,
            shown_part,
            oldest_waiting: totals.oldest_waiting,
            ended_per_s,
            run_s: if ended_per_s > 0.0 {
                gauge.mean_in_flight(class) / ended_per_s
            } else {
                0.0
            },
        }
    }

    /// About how many ready jobs were accepted before this time, if they were accepted evenly since the oldest one.
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

    /// How long this many ready jobs take to start, in seconds.
    fn wait_s(&self, jobs: f64) -> f64 {
        jobs / self.ended_per_s
    }
}

impl QueuePosition {
    /// The position of a job that is admitted now, behind `ahead` jobs of its lane. `head` is the head of the lane.
    pub(super) fn of_new(
        meta: &JobMeta,
        ahead: usize,
        head: &LaneHead,
        speed: &ClassSpeed,
        now: TimeMs,
    ) -> Self {
        let waiting = Waiting {
            ahead,
            head,
            ready_ahead: speed.ready,
        };
        Self::until_expiry(waiting.position(speed, now), meta, now)
    }

    /// The position of a live job.
    pub(super) fn of(meta: &JobMeta, job: &LiveJob, speed: &ClassSpeed, now: TimeMs) -> Self {
        let position = if let State::Running { .. } = &job.entry.state {
            Self {
                ahead_in_session: 0,
                ahead_in_class: Some(0),
                eta_s: speed.eta_s(run_left_s(job.head.running_since, speed, now)),
            }
        } else {
            let waiting = Waiting {
                ahead: job.ahead,
                head: &job.head,
                ready_ahead: match job.ahead {
                    0 => speed.ahead_of(meta.admitted_at(), now),
                    // The job becomes ready only once the earlier jobs of its session have ended. All jobs that are ready now come first.
                    _ => speed.ready,
                },
            };
            waiting.position(speed, now)
        };
        Self::until_expiry(position, meta, now)
    }

    /// Shortens the expected time to the time until the job expires.
    fn until_expiry(mut self, meta: &JobMeta, now: TimeMs) -> Self {
        let left_s = seconds(meta.expires_at.since_ms(now));
        self.eta_s = self.eta_s.map(|eta_s| eta_s.min(left_s));
        self
    }

    /// In how many seconds to ask for the job again: when it has probably ended. If that is unknown, the job's age decides ([`pause_s`]).
    pub(super) fn poll_after_s(&self, age_ms: u64) -> u64 {
        pause_s(self.eta_s, age_ms)
    }
}

/// A job that waits.
struct Waiting<'a> {
    /// How many jobs of its lane come first.
    ahead: usize,
    /// The first job of its lane, which may be the job itself.
    head: &'a LaneHead,
    /// How many ready jobs of other lanes come first.
    ready_ahead: f64,
}

impl Waiting<'_> {
    fn position(&self, speed: &ClassSpeed, now: TimeMs) -> QueuePosition {
        let ahead = self.ahead as f64;
        // How much longer the head takes than a ready head would. Mostly negative if the head runs. `None` if unknown.
        let head_extra_s = match &self.head.state {
            // It is not known when the provider may be called again.
            State::Deferred(_) => None,
            State::Queued { not_before } => {
                Some(not_before.map_or(0.0, |at| seconds(at.since_ms(now))))
            }
            // `lane_s` below counts a wait and a full run for each job ahead, but the head no longer waits and has run for a while.
            State::Running { .. } => {
                let left_s = run_left_s(self.head.running_since, speed, now);
                Some(left_s - speed.run_s - speed.wait_s(speed.ready))
            }
        };
        // Each job of the lane waits for a worker and runs.
        let lane_s = ahead * (speed.wait_s(speed.ready) + speed.run_s);
        let own_s = speed.wait_s(self.ready_ahead) + speed.run_s;
        QueuePosition {
            ahead_in_session: self.ahead,
            ahead_in_class: head_extra_s.map(|_| (self.ready_ahead * speed.shown_part) as u64),
            eta_s: head_extra_s.and_then(|extra_s| speed.eta_s(extra_s + lane_s + own_s)),
        }
    }
}

impl ClassSpeed {
    /// The expected time as it is shown: in seconds, rounded to tenths. `None` if no job has ended lately.
    fn eta_s(&self, expected_s: f64) -> Option<f64> {
        let is_known = self.ended_per_s > 0.0;
        is_known.then(|| (expected_s.clamp(0.0, ETA_S_MAX) * 10.0).round() / 10.0)
    }
}

/// How long a job that has run since `running_since` will probably run on, in seconds.
fn run_left_s(running_since: Option<TimeMs>, speed: &ClassSpeed, now: TimeMs) -> f64 {
    let run_s = seconds(running_since.map_or(0, |at| now.since_ms(at)));
    (speed.run_s - run_s).max(run_s * OVERDUE_PART)
}

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}

fn count(jobs: i64) -> f64 {
    jobs.max(0) as f64
}

#[cfg(test)]
mod tests {
    use forebay_shared::{
        account::AccountKey,
        class::Class,
        document::{DocumentVersion, UnknownFields},
        ids::{JobId, ProcessId, TenantId},
        job::{JobError, JobMeta},
        lane::{Deferral, State},
        store::LaneHead,
        time::TimeMs,
    };

    use super::{ClassSpeed, QueuePosition};

    const NOW: TimeMs = TimeMs(20_000);
    const READY: State = State::Queued { not_before: None };
    const SPEED: ClassSpeed = ClassSpeed {
        ready: 100.0,
        oldest_waiting: Some(TimeMs(10_000)),
        ended_per_s: 10.0,
        run_s: 3.0,
        shown_part: 1.0,
    };

    fn of_new(
        ahead: usize,
        state: &State,
        speed: &ClassSpeed,
        expires_in_ms: u64,
    ) -> QueuePosition {
        behind(ahead, state, None, speed, expires_in_ms)
    }

    fn behind(
        ahead: usize,
        state: &State,
        running_since: Option<TimeMs>,
        speed: &ClassSpeed,
        expires_in_ms: u64,
    ) -> QueuePosition {
        let head = LaneHead {
            state: state.clone(),
            running_since,
        };
        let tenant = TenantId::default();
        let meta = JobMeta {
            v: DocumentVersion::FIRST,
            id: JobId::fresh(&tenant, None),
            tenant,
            session: None,
            model: String::from("simulated"),
            class: Class::Batch,
            created_at: NOW,
            expires_at: NOW.plus_ms(expires_in_ms),
            metadata: serde_json::Map::new(),
            keep_until: None,
            replaces: None,
            traceparent: None,
            is_tool_results: false,
            retried_at: None,
            unknown: UnknownFields::NONE,
        };
        QueuePosition::of_new(&meta, ahead, &head, speed, NOW)
    }

    #[test]
    fn a_new_job_waits_for_the_ready_jobs_and_then_runs() {
        let position = of_new(0, &READY, &SPEED, 86_400_000);
        let expected = QueuePosition {
            ahead_in_session: 0,
            ahead_in_class: Some(100),
            eta_s: Some(13.0),
        };
        assert_eq!(position, expected);
        assert_eq!(of_new(2, &READY, &SPEED, 86_400_000).eta_s, Some(39.0));
        // A job that expires earlier ends when it expires.
        assert_eq!(of_new(2, &READY, &SPEED, 5_000).eta_s, Some(5.0));
        // A tenant sees only its own jobs, but its job waits for the jobs of all tenants.
        let speed = ClassSpeed {
            shown_part: 0.25,
            ..SPEED
        };
        let position = of_new(0, &READY, &speed, 86_400_000);
        assert_eq!(
            (position.ahead_in_class, position.eta_s),
            (Some(25), Some(13.0))
        );
    }

    #[test]
    fn the_head_of_the_session_decides_when_the_others_run() {
        let running = State::Running {
            worker: ProcessId::fresh("w"),
            until: TimeMs(90_000),
        };
        // The rest of the head's run, then the job's own wait and run. A run of 8 s is expected to last 2 s more.
        for (ran_ms, left_s) in [(0, 3.0), (1_000, 2.0), (8_000, 2.0)] {
            let since = TimeMs(NOW.0 - ran_ms);
            let position = behind(1, &running, Some(since), &SPEED, 86_400_000);
            assert_eq!(position.eta_s, Some(left_s + 13.0), "{ran_ms}");
        }
        let paused = State::Queued {
            not_before: Some(NOW.plus_ms(45_000)),
        };
        assert_eq!(
            of_new(1, &paused, &SPEED, 86_400_000).eta_s,
            Some(45.0 + 26.0)
        );
        let deferred = State::Deferred(Box::new(Deferral {
            account: AccountKey::of_provider("openai"),
            error: JobError::new("rate_limited", "slow down"),
            until: TimeMs(90_000),
        }));
        let position = of_new(1, &deferred, &SPEED, 86_400_000);
        assert_eq!((position.ahead_in_class, position.eta_s), (None, None));
    }

    #[test]
    fn older_jobs_come_first() {
        for (accepted_at, ahead) in [(5_000, 0.0), (10_000, 0.0), (12_500, 25.0), (20_000, 100.0)] {
            assert!((SPEED.ahead_of(TimeMs(accepted_at), NOW) - ahead).abs() < 1e-9);
        }
        let all_at_once = SPEED.ahead_of(TimeMs(10_000), TimeMs(10_000));
        assert!((all_at_once - 100.0).abs() < 1e-9);
    }

    #[test]
    fn if_no_job_has_ended_the_time_is_unknown_and_polls_become_less_frequent() {
        let position = of_new(3, &READY, &ClassSpeed::default(), 86_400_000);
        assert_eq!(position.eta_s, None);
        let pauses = [0, 1_000, 9_000, 500_000].map(|age_ms| position.poll_after_s(age_ms));
        assert_eq!(pauses, [1, 1, 5, 60]);
        let known = of_new(0, &READY, &SPEED, 86_400_000);
        assert_eq!(known.poll_after_s(0), 13);
    }
}
