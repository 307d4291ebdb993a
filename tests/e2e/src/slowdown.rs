//! Two measures of a busy machine. The slowdown is how many times as long work takes as on an idle machine. A stall is a time in which
//! the machine did not run a thread that was due. A thread measures both continuously. Tests multiply their time limits by the slowdown
//! and add the stalls, so the limits are strict on an idle machine and also hold on a busy one.

use std::{
    sync::{LazyLock, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};

/// The CPU time of one sample.
const WORK: Duration = Duration::from_millis(4);
/// The pause between two samples.
const PAUSE: Duration = Duration::from_millis(50);
/// A shorter delay of a sample is no stall: its cause raises the slowdown.
const STALL_MIN: Duration = Duration::from_millis(200);

static SAMPLES: LazyLock<Mutex<Vec<Sample>>> = LazyLock::new(|| {
    thread::spawn(|| {
        loop {
            let sample = Sample::take_after_pause();
            let samples = &mut *SAMPLES.lock().unwrap_or_else(PoisonError::into_inner);
            samples.push(sample);
        }
    });
    Mutex::default()
});

/// How long a thread took to use the CPU time [`WORK`], after a pause.
struct Sample {
    /// When the pause should have ended.
    due: Instant,
    began: Instant,
    /// When the sample ended.
    at: Instant,
}

impl Sample {
    fn take_after_pause() -> Self {
        let due = Instant::now() + PAUSE;
        thread::sleep(PAUSE);
        let began = Instant::now();
        let end = cpu_time() + WORK;
        while cpu_time() < end {
            std::hint::spin_loop();
        }
        Self {
            due,
            began,
            at: Instant::now(),
        }
    }
}

/// The CPU time of this thread.
fn cpu_time() -> Duration {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(used.tv_sec.unsigned_abs(), used.tv_nsec as u32)
}

/// Starts the measurement, unless it is running already. Returns the current time. Call it at the start of a test.
pub fn measure() -> Instant {
    LazyLock::force(&SAMPLES);
    Instant::now()
}

/// The slowdown between these times: the duration of the samples, divided by their CPU time. It is at least 1. The last sample may
/// end later.
#[must_use]
pub fn between(from: Instant, to: Instant) -> f64 {
    let samples = SAMPLES.lock().unwrap_or_else(PoisonError::into_inner);
    let taken = samples
        .iter()
        .rev()
        .skip_while(|sample| sample.began > to)
        .take_while(|sample| sample.at > from);
    let (count, took) = taken.fold((0, Duration::ZERO), |(count, took), sample| {
        (count + 1, took + (sample.at - sample.began))
    });
    if count == 0 {
        return 1.0;
    }
    (took.as_secs_f64() / (WORK * count).as_secs_f64()).max(1.0)
}

/// How long the machine stalled between these times: how long samples were due and did not begin.
#[must_use]
pub fn stalled_between(from: Instant, to: Instant) -> Duration {
    let stalled = |due: Instant, began: Instant| {
        let is_stall = began.saturating_duration_since(due) >= STALL_MIN;
        let within = began.min(to).saturating_duration_since(due.max(from));
        if is_stall { within } else { Duration::ZERO }
    };
    let samples = SAMPLES.lock().unwrap_or_else(PoisonError::into_inner);
    let recent = samples.iter().rev().take_while(|sample| sample.at > from);
    let recorded: Duration = recent.map(|sample| stalled(sample.due, sample.began)).sum();
    // The thread may be stalled right now, so that its next sample is late.
    let last = samples.last();
    recorded
        + last.map_or(Duration::ZERO, |last| {
            stalled(last.at + PAUSE + WORK, Instant::now())
        })
}

/// Asserts that `what` took at most `limit` multiplied by the slowdown since `began`, plus the stalls since then.
///
/// # Panics
/// If `took` is longer.
pub fn assert_within(limit: Duration, began: Instant, took: Duration, what: &str) {
    let now = Instant::now();
    let (slowdown, stalled) = (between(began, now), stalled_between(began, now));
    if took > limit / 2 {
        println!("{what}: {took:?}, with a slowdown of {slowdown:.1} and stalls of {stalled:?}");
    }
    assert!(
        took <= limit.mul_f64(slowdown) + stalled,
        "{what} took {took:?}, but at most {limit:?} is allowed, multiplied by the slowdown of {slowdown:.1}, plus {stalled:?} for \
         stalls"
    );
}
