//! The store's clock. Each renewal of the presence, about once a second, also reads the clock of Redis. Between two
//! renewals, the monotonic clock of this process measures how much time has passed.

use std::{
    sync::{Mutex, PoisonError},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use forebay_shared::time::TimeMs;

/// If a correction would turn `now` back by at most this time, `now` does not go back. It repeats the latest time that it
/// returned, until the corrected clock has reached that time. If a correction would turn `now` back by more, the server's
/// clock was set back, and `now` goes back too.
const IGNORED_STEP_BACK_MAX_MS: u64 = 1_000;

/// The clock of Redis, as this process knows it.
#[derive(Debug)]
pub(super) struct RedisClock {
    reading: Mutex<Reading>,
}

#[derive(Debug)]
struct Reading {
    /// When this process received the newest time of Redis, and that time.
    last_reply: (Instant, TimeMs),
    /// The latest time that `now` returned.
    latest: TimeMs,
}

impl Reading {
    /// Returns the time of Redis at this moment.
    fn at(&self, moment: Instant) -> TimeMs {
        let (received, time) = self.last_reply;
        let passed = moment.saturating_duration_since(received).as_millis();
        time.plus_ms(u64::try_from(passed).unwrap_or(u64::MAX))
    }
}

impl RedisClock {
    /// Uses this machine's clock until the first correction.
    pub(super) fn new() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let ms = since.map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        });
        Self {
            reading: Mutex::new(Reading {
                last_reply: (Instant::now(), TimeMs(ms)),
                latest: TimeMs(0),
            }),
        }
    }

    /// The current time.
    pub(super) fn now(&self) -> TimeMs {
        self.now_at(Instant::now())
    }

    fn now_at(&self, moment: Instant) -> TimeMs {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        reading.latest = reading.at(moment).max(reading.latest);
        reading.latest
    }

    /// Sets the clock to the time in a reply of Redis. `received` is the moment at which the reply arrived. Redis
    /// read its clock earlier. So, at the moment of the correction, the corrected time is behind the time of Redis by the
    /// reply's transit time. `now` may still be ahead of Redis for a short time: see [`IGNORED_STEP_BACK_MAX_MS`].
    pub(super) fn correct(&self, received: Instant, time: TimeMs) {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        reading.last_reply = (received, time);
        if reading.latest.since_ms(time) > IGNORED_STEP_BACK_MAX_MS {
            reading.latest = time;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn after_a_correction_the_clock_follows_the_clock_of_redis() {
        let clock = RedisClock::new();
        let received = Instant::now();
        clock.correct(received, TimeMs(1_000_000));
        assert_eq!(clock.now_at(received), TimeMs(1_000_000));
        let later = received + Duration::from_millis(500);
        assert_eq!(clock.now_at(later), TimeMs(1_000_500));
    }

    #[test]
    fn small_corrections_never_turn_the_clock_back_and_large_ones_do() {
        let clock = RedisClock::new();
        let moment = Instant::now();
        clock.correct(moment, TimeMs(1_000_000));
        assert_eq!(clock.now_at(moment), TimeMs(1_000_000));
        clock.correct(moment, TimeMs(999_500));
        assert_eq!(clock.now_at(moment), TimeMs(1_000_000));
        clock.correct(moment, TimeMs(500_000));
        assert_eq!(clock.now_at(moment), TimeMs(500_000));
    }
}
