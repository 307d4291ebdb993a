//! Decides whether a worker is wedged, from what is observed once a second. A pure function: [`Assessment::next`].

use std::time::Duration;

use tokio::time::Instant;

/// How long a worker may handle no message, although it could, before it counts as wedged.
pub const WEDGED_AFTER: Duration = Duration::from_secs(60);
/// A longer pause between two observations shows that the process was suspended. What came before it then proves nothing.
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// What is known of a worker at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerObservation {
    /// How long the process has observed nothing before, or during, this observation.
    pub pause: Duration,
    /// Whether the store answers.
    pub store_answers: bool,
    /// Whether the worker's consumers are registered at the queue.
    pub is_consuming: bool,
    /// Whether jobs could run now. A job that waits for its provider cannot.
    pub has_ready_jobs: bool,
    /// Whether the worker has a free slot.
    pub has_free_slot: bool,
    /// Whether messages of ready jobs wait in the queue or in this worker, or are published again and again. Without them the worker
    /// cannot know of the jobs, and a restart would not help.
    pub has_messages: bool,
    /// How long the worker has held the oldest message that it has neither handled nor put back.
    pub oldest_held: Option<Duration>,
    /// How long the intake has not moved.
    pub intake_idle: Duration,
    /// Whether the worker has handled a message since the last observation: it has claimed or deferred the job, or the store has
    /// answered that the job cannot run now.
    pub has_handled: bool,
    /// For how much longer than [`WEDGED_AFTER`] the worker may handle no message, because a job waits for memory until running
    /// calls end. Zero if none waits.
    pub allowed_wait: Duration,
}

/// What the observations of a worker have shown so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Assessment {
    /// Since when the store answers.
    store_since: Option<Instant>,
    /// Since when the worker has handled no message, although the store answers.
    idle_since: Option<Instant>,
    /// Since when the worker has handled no message, although jobs are ready, their messages wait, and it could run them.
    starving_since: Option<Instant>,
    /// Whether the worker is wedged.
    pub is_wedged: bool,
}

impl Assessment {
    /// The assessment after one more observation. The worker is wedged if, for [`WEDGED_AFTER`], one of these is true:
    /// - its intake does not move;
    /// - it holds a message that it has neither handled nor put back, and handles no other. This needs no free slot, because
    ///   claims that hang keep their slots;
    /// - jobs are ready, their messages wait, slots are free, it consumes, and it handles none.
    ///
    /// Each needs a store that answers. For the last two, a job that waits for memory allows more time.
    #[must_use]
    pub fn next(self, observed: WorkerObservation, now: Instant) -> Self {
        if !observed.store_answers {
            return Self::default();
        }
        let earlier = if observed.pause > PAUSE_MAX {
            Self::default()
        } else {
            self
        };
        let lasts = |since: Option<Instant>, limit| {
            since.is_some_and(|since| now.saturating_duration_since(since) >= limit)
        };
        let could_run = observed.has_ready_jobs
            && observed.has_free_slot
            && observed.is_consuming
            && observed.has_messages;
        let store_since = earlier.store_since.or(Some(now));
        let idle_since = earlier.idle_since.filter(|_| !observed.has_handled);
        let idle_since = idle_since.or(Some(now));
        let starving_since =
            (could_run && !observed.has_handled).then(|| earlier.starving_since.unwrap_or(now));

        let limit = WEDGED_AFTER + observed.allowed_wait;
        let has_stuck_intake =
            observed.intake_idle >= WEDGED_AFTER && lasts(store_since, WEDGED_AFTER);
        let holds_a_message = observed.oldest_held.is_some_and(|age| age >= WEDGED_AFTER);
        Self {
            store_since,
            idle_since,
            starving_since,
            is_wedged: has_stuck_intake
                || (holds_a_message && lasts(idle_since, limit))
                || lasts(starving_since, limit),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Assessment, WEDGED_AFTER, WorkerObservation};

    const SECOND: Duration = Duration::from_secs(1);
    /// A worker that could run a job, and does not.
    const STARVING: WorkerObservation = WorkerObservation {
        pause: SECOND,
        store_answers: true,
        is_consuming: true,
        has_ready_jobs: true,
        has_free_slot: true,
        has_messages: true,
        oldest_held: None,
        intake_idle: Duration::ZERO,
        has_handled: false,
        allowed_wait: Duration::ZERO,
    };
    /// A worker for which there is nothing to do.
    const QUIET: WorkerObservation = WorkerObservation {
        has_ready_jobs: false,
        has_messages: false,
        ..STARVING
    };

    /// A worker, observed each second.
    struct Observed {
        assessment: Assessment,
        now: Instant,
    }

    impl Observed {
        fn new() -> Self {
            Self {
                assessment: Assessment::default(),
                now: Instant::now(),
            }
        }

        /// Makes the same observation each second. Returns after how many seconds the worker was wedged.
        fn see(&mut self, seconds: u64, observed: WorkerObservation) -> Option<u64> {
            let mut wedged_after = None;
            for second in 0..seconds {
                self.assessment = self.assessment.next(observed, self.now);
                self.now += SECOND;
                if self.assessment.is_wedged {
                    wedged_after = wedged_after.or(Some(second));
                }
            }
            wedged_after
        }
    }

    /// A worker that holds a message for very long, while others run all ready jobs.
    const HOLDING: WorkerObservation = WorkerObservation {
        oldest_held: Some(Duration::from_secs(3_600)),
        ..QUIET
    };

    #[test]
    fn a_worker_that_takes_no_jobs_is_wedged_after_the_limit() {
        assert_eq!(
            Observed::new().see(90, STARVING),
            Some(WEDGED_AFTER.as_secs())
        );
        // `/healthz` must fail within 90 s.
        assert!(WEDGED_AFTER < Duration::from_secs(85));
    }

    #[test]
    fn each_condition_alone_begins_the_time_anew() {
        for healthy in [
            WorkerObservation {
                has_ready_jobs: false,
                ..STARVING
            },
            WorkerObservation {
                has_free_slot: false,
                ..STARVING
            },
            WorkerObservation {
                store_answers: false,
                ..STARVING
            },
            WorkerObservation {
                is_consuming: false,
                ..STARVING
            },
            WorkerObservation {
                has_messages: false,
                ..STARVING
            },
            WorkerObservation {
                has_handled: true,
                ..STARVING
            },
        ] {
            let mut worker = Observed::new();
            assert_eq!(worker.see(59, STARVING), None);
            assert_eq!(worker.see(600, healthy), None, "{healthy:?}");
            assert_eq!(worker.see(90, STARVING), Some(60), "{healthy:?}");
        }
    }

    #[test]
    fn a_held_message_shows_a_wedged_worker_beside_a_healthy_one() {
        assert_eq!(Observed::new().see(90, HOLDING), Some(60));
        // Jobs are ready for a moment now and then, and claims that hang keep all slots.
        let full = WorkerObservation {
            has_free_slot: false,
            ..HOLDING
        };
        let mut worker = Observed::new();
        for _ in 0..6 {
            assert_eq!(worker.see(8, full), None);
            assert_eq!(worker.see(1, STARVING), None);
        }
        assert_eq!(worker.see(10, full), Some(6));
    }

    #[test]
    fn a_worker_that_holds_messages_shortly_or_handles_others_is_healthy() {
        let shortly = WorkerObservation {
            oldest_held: Some(Duration::from_secs(59)),
            ..QUIET
        };
        assert_eq!(Observed::new().see(600, shortly), None);
        let mut worker = Observed::new();
        for _ in 0..20 {
            assert_eq!(worker.see(50, HOLDING), None);
            let handles = WorkerObservation {
                has_handled: true,
                ..HOLDING
            };
            assert_eq!(worker.see(1, handles), None);
        }
    }

    #[test]
    fn jobs_that_wait_for_memory_allow_more_time_but_not_for_ever() {
        for observed in [STARVING, HOLDING] {
            let waiting = WorkerObservation {
                allowed_wait: Duration::from_secs(610),
                ..observed
            };
            assert_eq!(Observed::new().see(1_000, waiting), Some(670));
        }
    }

    #[test]
    fn an_intake_that_does_not_move_is_wedged_also_without_jobs() {
        let stuck = WorkerObservation {
            intake_idle: Duration::from_secs(3_600),
            ..QUIET
        };
        assert_eq!(Observed::new().see(90, stuck), Some(60));
        let moving = WorkerObservation {
            intake_idle: Duration::from_secs(59),
            ..QUIET
        };
        assert_eq!(Observed::new().see(600, moving), None);
    }

    #[test]
    fn each_kind_of_evidence_begins_anew_after_an_outage_or_a_suspension() {
        let stuck = WorkerObservation {
            intake_idle: Duration::from_secs(3_600),
            ..QUIET
        };
        for observed in [STARVING, HOLDING, stuck] {
            let outage = WorkerObservation {
                store_answers: false,
                ..observed
            };
            let suspension = WorkerObservation {
                pause: Duration::from_secs(7_200),
                ..observed
            };
            for interruption in [outage, suspension] {
                let mut worker = Observed::new();
                assert_eq!(worker.see(50, observed), None);
                worker.now += interruption.pause;
                assert_eq!(worker.see(1, interruption), None);
                assert_eq!(worker.see(59, observed), None, "{interruption:?}");
                assert!(worker.see(2, observed).is_some(), "{interruption:?}");
            }
        }
    }

    #[test]
    fn a_worker_that_was_idle_for_long_gets_the_full_time_for_its_first_job() {
        let mut worker = Observed::new();
        assert_eq!(worker.see(7_200, QUIET), None);
        assert_eq!(worker.see(90, STARVING), Some(60));
    }
}
