//! Tests of the clock's rule, with steps of an hour and of three days in both directions.

use super::*;

const HOUR_MS: i64 = 3_600_000;
const STEPS_MS: [i64; 4] = [HOUR_MS, -HOUR_MS, 72 * HOUR_MS, -72 * HOUR_MS];
const START: TimeMs = TimeMs(1_764_000_000_000);

fn moved(time: TimeMs, ms: i64) -> TimeMs {
    TimeMs(time.0.saturating_add_signed(ms))
}

#[test]
fn a_step_changes_the_times_that_are_shown_and_not_the_stores_time() {
    for step_ms in STEPS_MS {
        let before = ClockState::new(START);
        let after = before.after_step(moved(START, step_ms));
        assert_eq!(after.time, before.time, "step by {step_ms} ms");
        assert_eq!(after.to_utc(after.time), moved(START, step_ms));
        // The present and a time of the past keep their distance.
        let past = TimeMs(START.0 - 5_000);
        assert_eq!(after.to_utc(after.time).since_ms(after.to_utc(past)), 5_000);
        // The system's clock is corrected.
        assert_eq!(after.after_step(START), before);
    }
}

#[test]
fn a_difference_below_a_second_is_no_step() {
    let state = ClockState::new(START);
    for ms in [-999, -1, 0, 1, 999] {
        assert_eq!(state.after_step(moved(START, ms)), state);
    }
    assert_eq!(state.after_step(moved(START, -1_000)).shift_ms, -1_000);
}

#[test]
fn a_pause_between_two_processes_counts() {
    for shift_ms in [0, HOUR_MS, -HOUR_MS] {
        let saved = ClockState {
            time: START,
            shift_ms,
        };
        let system = moved(START, shift_ms + 60_000);
        let state = saved.after_restart(system, 1_000);
        assert_eq!(state.time, moved(START, 60_000));
        assert_eq!(state.shift_ms, shift_ms);
    }
}

#[test]
fn a_restart_with_an_earlier_clock_continues_after_the_newest_stored_time() {
    for step_ms in [-HOUR_MS, -72 * HOUR_MS, -56 * 365 * 24 * HOUR_MS] {
        let saved = ClockState::new(START);
        let system = moved(START, step_ms);
        let state = saved.after_restart(system, 1_000);
        assert_eq!(state.time, moved(START, 1_000), "step by {step_ms} ms");
        assert_eq!(state.to_utc(state.time), system);
        // The clock is corrected while the process runs. The shift is then the uncounted pause of a minute.
        let corrected = state.after_step(moved(START, 61_000));
        assert_eq!(corrected.time, state.time);
        assert_eq!(corrected.shift_ms, 60_000);
    }
}

#[test]
fn a_restart_whose_clock_is_a_little_earlier_does_not_go_back() {
    let state = ClockState::new(START).after_restart(moved(START, -300), 100);
    assert_eq!(state, ClockState::new(moved(START, 100)));
}

#[test]
fn extreme_clocks_do_not_overflow() {
    for saved in [0, START.0, u64::MAX] {
        for system in [0, START.0, u64::MAX] {
            for shift_ms in [i64::MIN, 0, i64::MAX] {
                let saved = ClockState {
                    time: TimeMs(saved),
                    shift_ms,
                };
                let state = saved.after_restart(TimeMs(system), 1_000);
                assert!(state.time >= saved.time);
                let _ = state.after_step(TimeMs(system)).to_utc(TimeMs(u64::MAX));
            }
        }
    }
}
