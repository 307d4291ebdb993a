//! The store's clock: that of Redis, as measured at each announcement, carried on by the time that
//! has passed here since.

use std::{
    sync::{Mutex, PoisonError},
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use forebay_shared::time::TimeMs;

/// A correction backwards by at most this is waited out, so that time does not run backwards; a
/// larger one is a clock that was set, and is followed.
const WAITED_OUT_MS: u64 = 1_000;

/// The clock.
#[derive(Debug)]
pub(super) struct Clock {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// What the time was at which moment of this process.
    anchor: (Instant, TimeMs),
    /// The latest time told.
    told: TimeMs,
}

impl State {
    fn at(&self, moment: Instant) -> TimeMs {
        let (anchor, time) = self.anchor;
        let passed = moment.saturating_duration_since(anchor).as_millis();
        time.plus_ms(u64::try_from(passed).unwrap_or(u64::MAX))
    }
}

impl Clock {
    /// Starts with this machine's clock, until Redis was asked.
    pub(super) fn new() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let ms = since.map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        });
        Self {
            state: Mutex::new(State {
                anchor: (Instant::now(), TimeMs(ms)),
                told: TimeMs(0),
            }),
        }
    }

    /// Now.
    pub(super) fn now(&self) -> TimeMs {
        self.now_at(Instant::now())
    }

    fn now_at(&self, moment: Instant) -> TimeMs {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.told = state.at(moment).max(state.told);
        state.told
    }

    /// Takes over what Redis said its time was, in an answer that came at this moment. It read its clock
    /// before that, so this one is behind that of Redis by the time of the answer's way, and never ahead:
    /// what has passed here has passed there.
    pub(super) fn correct(&self, answered: Instant, said: TimeMs) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.anchor = (answered, said);
        let now = said;
        if state.told.since_ms(now) > WAITED_OUT_MS {
            state.told = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn follows_the_clock_of_redis_from_its_answer_on() {
        let clock = Clock::new();
        let answered = Instant::now();
        clock.correct(answered, TimeMs(1_000_000));
        assert_eq!(clock.now_at(answered), TimeMs(1_000_000));
        let later = answered + Duration::from_millis(500);
        assert_eq!(clock.now_at(later), TimeMs(1_000_500));
    }

    #[test]
    fn small_corrections_never_turn_it_back_and_large_ones_do() {
        let clock = Clock::new();
        let moment = Instant::now();
        clock.correct(moment, TimeMs(1_000_000));
        assert_eq!(clock.now_at(moment), TimeMs(1_000_000));
        clock.correct(moment, TimeMs(999_500));
        assert_eq!(clock.now_at(moment), TimeMs(1_000_000));
        clock.correct(moment, TimeMs(500_000));
        assert_eq!(clock.now_at(moment), TimeMs(500_000));
    }
}
