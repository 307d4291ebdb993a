//! The store's clock. Each renewal of the presence, about once a second, also reads the clock that Redis keeps for the fleet
//! (`scripts/clock.lua`). Between two renewals, the monotonic clock of this process measures how much time has passed. So a step
//! of this machine's own clock changes nothing.

use std::sync::{Mutex, MutexGuard, PoisonError};

use forebay_shared::time::TimeMs;

use crate::clock_state::{ClockState, MachineTime};

/// If a correction would turn `now` back by at most this time, `now` does not go back. It repeats the latest time that it
/// returned, until the corrected clock has reached that time. A correction by more occurs only if the data of Redis was
/// replaced by older data.
const IGNORED_STEP_BACK_MAX_MS: u64 = 1_000;
/// Smaller steps of the clock of Redis are not logged. A server that stalls can look like a small step for a moment.
const LOGGED_STEP_MS_MIN: u64 = 10_000;

/// The store's clock, as this process knows it.
#[derive(Debug)]
pub(super) struct RedisClock {
    reading: Mutex<Reading>,
}

#[derive(Debug)]
struct Reading {
    /// When this process received the newest reply, by its monotonic clock.
    received_ms: u64,
    /// The store's clock at that moment.
    state: ClockState,
    /// Whether `state` comes from a reply. Until the first one, it comes from this machine's clock.
    is_from_store: bool,
    /// The latest time that `now` returned.
    latest: TimeMs,
}

impl Reading {
    /// Returns the store's time at this moment of the monotonic clock.
    fn at(&self, monotonic_ms: u64) -> TimeMs {
        let passed_ms = monotonic_ms.saturating_sub(self.received_ms);
        self.state.time.plus_ms(passed_ms)
    }
}

impl RedisClock {
    /// Uses this machine's clock until the first correction.
    pub(super) fn new() -> Self {
        let machine = MachineTime::read();
        Self {
            reading: Mutex::new(Reading {
                received_ms: machine.monotonic_ms,
                state: ClockState::new(machine.system),
                is_from_store: false,
                latest: TimeMs(0),
            }),
        }
    }

    /// The current time.
    pub(super) fn now(&self) -> TimeMs {
        self.now_at(MachineTime::monotonic_ms())
    }

    fn now_at(&self, monotonic_ms: u64) -> TimeMs {
        let mut reading = self.reading();
        reading.latest = reading.at(monotonic_ms).max(reading.latest);
        reading.latest
    }

    /// The time of the server's clock that corresponds to a time of the store's clock.
    pub(super) fn to_utc(&self, time: TimeMs) -> TimeMs {
        self.reading().state.to_utc(time)
    }

    /// The store's time that this process expects at this moment, from the last reply and its monotonic clock. `None` before the
    /// first reply.
    pub(super) fn expected(&self) -> Option<TimeMs> {
        let reading = self.reading();
        let monotonic_ms = MachineTime::monotonic_ms();
        reading.is_from_store.then(|| reading.at(monotonic_ms))
    }

    /// Corrects the clock with the state in a reply of Redis. `sent_ms` and `received_ms` are the moments of the monotonic clock
    /// at which the command was sent and its reply arrived. Redis computed the state between the two. So the time is now
    /// between the time in the reply and this time plus the duration of the call. The clock changes only if it is outside
    /// of this range.
    pub(super) fn correct(&self, sent_ms: u64, received_ms: u64, state: ClockState) {
        let mut reading = self.reading();
        let shift_change_ms = state.shift_ms.saturating_sub(reading.state.shift_ms);
        if reading.is_from_store && shift_change_ms.unsigned_abs() >= LOGGED_STEP_MS_MIN {
            tracing::warn!(
                by_s = shift_change_ms / 1_000,
                "the clock of Redis was set; waits and time limits go on as before, and all times are shown by the new clock"
            );
        }
        let mut time = state.time;
        if reading.is_from_store {
            let time_max = time.plus_ms(received_ms.saturating_sub(sent_ms));
            time = reading.at(received_ms).clamp(time, time_max);
        }
        let is_far_ahead = reading.latest.since_ms(time) > IGNORED_STEP_BACK_MAX_MS;
        if is_far_ahead || !reading.is_from_store {
            reading.latest = time;
        }
        *reading = Reading {
            received_ms,
            state: ClockState { time, ..state },
            is_from_store: true,
            latest: reading.latest,
        };
    }

    fn reading(&self) -> MutexGuard<'_, Reading> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(time_ms: u64) -> ClockState {
        ClockState::new(TimeMs(time_ms))
    }

    #[test]
    fn after_a_correction_the_clock_follows_the_clock_of_the_store() {
        let clock = RedisClock::new();
        assert_eq!(clock.expected(), None);
        clock.correct(690, 700, state(1_000_000));
        assert_eq!(clock.now_at(700), TimeMs(1_000_000));
        assert_eq!(clock.now_at(1_200), TimeMs(1_000_500));
        assert!(clock.expected() >= Some(TimeMs(1_000_000)));
    }

    #[test]
    fn a_slow_reply_does_not_turn_the_clock_back() {
        let clock = RedisClock::new();
        clock.correct(0, 0, state(1_000_000));
        // Redis read its clock at some moment of the call.
        for read_after_ms in [0, 1_500, 2_500] {
            clock.correct(0, 2_500, state(1_000_000 + read_after_ms));
            assert_eq!(clock.now_at(2_500), TimeMs(1_002_500));
        }
        // The clock of this process is too slow or too fast.
        clock.correct(2_500, 2_510, state(1_005_000));
        assert_eq!(clock.now_at(2_510), TimeMs(1_005_000));
        clock.correct(2_510, 2_520, state(1_004_000));
        assert_eq!(clock.now_at(2_520), TimeMs(1_005_000));
        assert_eq!(clock.now_at(3_521), TimeMs(1_005_011));
    }

    #[test]
    fn older_data_of_redis_turns_the_clock_back() {
        let clock = RedisClock::new();
        clock.correct(700, 700, state(1_000_000));
        clock.correct(700, 700, state(500_000));
        assert_eq!(clock.now_at(700), TimeMs(500_000));
    }

    #[test]
    fn a_step_of_the_servers_clock_changes_the_times_that_are_shown_only() {
        for shift_ms in [3_600_000, -3_600_000, 259_200_000, -259_200_000] {
            let clock = RedisClock::new();
            let start = 1_764_000_000_000;
            clock.correct(0, 0, state(start));
            let stepped = ClockState {
                time: TimeMs(start + 1_000),
                shift_ms,
            };
            clock.correct(1_000, 1_000, stepped);
            assert_eq!(clock.now_at(1_500), TimeMs(start + 1_500));
            let shown = clock.to_utc(TimeMs(start));
            assert_eq!(shown, TimeMs(start.saturating_add_signed(shift_ms)));
        }
    }
}
