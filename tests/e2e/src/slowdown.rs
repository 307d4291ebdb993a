//! The slowdown: how many times slower than an idle machine this machine is. A thread measures it continuously. Tests
//! multiply their time limits by the slowdown, so the limits are strict on an idle machine and also hold on a busy one.

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

/// How long a thread took to use the CPU time [`WORK`].
struct Sample {
    /// When the sample ended.
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

/// Starts the measurement, unless it is running already. Returns the current time. Call it at the start of a test.
pub fn measure() -> Instant {
    LazyLock::force(&SAMPLES);
    Instant::now()
}

/// The slowdown between these times: the duration of the samples, divided by their CPU time. It is at least 1.
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

/// Asserts that `what` took at most `limit`, multiplied by the slowdown since `began`.
///
/// # Panics
/// If `took` is longer.
pub fn assert_within(limit: Duration, began: Instant, took: Duration, what: &str) {
    let slowdown = between(began, Instant::now());
    if took > limit / 2 {
        println!("{what}: {took:?}, with a slowdown of {slowdown:.1}");
    }
    assert!(
        took <= limit.mul_f64(slowdown),
        "{what} took {took:?}, but at most {limit:?} is allowed, multiplied by the slowdown of {slowdown:.1}"
    );
}
