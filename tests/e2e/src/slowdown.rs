//! How much slower than an idle machine this machine is, measured all the time. Bounds on what a fleet does in some
//! seconds are multiplied with it: they are strict on an idle machine, and hold on a busy one.

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

static SAMPLES: LazyLock<Mutex<Vec<Sample>>> = LazyLock::new(|| {
    thread::spawn(|| {
        loop {
            thread::sleep(PAUSE);
            let sample = Sample::take();
            let samples = &mut *SAMPLES.lock().unwrap_or_else(PoisonError::into_inner);
            samples.push(sample);
        }
    });
    Mutex::default()
});

/// How long a thread took for its work.
struct Sample {
    at: Instant,
    took: Duration,
}

impl Sample {
    fn take() -> Self {
        let began = Instant::now();
        let end = cpu_time() + WORK;
        while cpu_time() < end {
            std::hint::spin_loop();
        }
        Self {
            at: Instant::now(),
            took: began.elapsed(),
        }
    }
}

/// The CPU time of this thread.
fn cpu_time() -> Duration {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(used.tv_sec.unsigned_abs(), used.tv_nsec as u32)
}

/// Begins to measure, unless it is measured already; returns the time. Call it at the start of a test.
pub fn measure() -> Instant {
    LazyLock::force(&SAMPLES);
    Instant::now()
}

/// How many times longer than on an idle machine a thread took for its work between these times; at least 1.
#[must_use]
pub fn between(from: Instant, to: Instant) -> f64 {
    let samples = SAMPLES.lock().unwrap_or_else(PoisonError::into_inner);
    let taken = samples
        .iter()
        .rev()
        .skip_while(|sample| sample.at > to)
        .take_while(|sample| sample.at > from);
    let (count, took) = taken.fold((0, Duration::ZERO), |(count, took), sample| {
        (count + 1, took + sample.took)
    });
    if count == 0 {
        return 1.0;
    }
    (took.as_secs_f64() / (WORK * count).as_secs_f64()).max(1.0)
}

/// Fails if `what` took longer than `limit`, multiplied with the slowdown since `began`.
///
/// # Panics
/// If it took longer.
pub fn assert_within(limit: Duration, began: Instant, took: Duration, what: &str) {
    let slowdown = between(began, Instant::now());
    if took > limit / 2 {
        println!("{what}: {took:?}, with a slowdown of {slowdown:.1}");
    }
    assert!(
        took <= limit.mul_f64(slowdown),
        "{what} took {took:?}, not {limit:?}, with a slowdown of {slowdown:.1}"
    );
}
