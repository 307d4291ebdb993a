//! Tests of the embedded engine's clock, most of them with invented readings of the machine's clocks.

use super::*;

const HOUR_MS: i64 = 3_600_000;
const START: MachineTime = MachineTime {
    monotonic_ms: 5_000,
    system: TimeMs(1_764_000_000_000),
};

/// The machine `passed_ms` after the start, with its system's clock set by `step_ms`.
fn machine(passed_ms: u64, step_ms: i64) -> MachineTime {
    MachineTime {
        monotonic_ms: START.monotonic_ms + passed_ms,
        system: TimeMs(
            START
                .system
                .plus_ms(passed_ms)
                .0
                .saturating_add_signed(step_ms),
        ),
    }
}

fn new_clock() -> StoreClock {
    let state = ClockState::new(START.system);
    StoreClock::with_state(ClockState::default(), state, START)
}

#[test]
fn steps_of_the_systems_clock_neither_stop_nor_advance_the_clock() {
    for step_ms in [HOUR_MS, -HOUR_MS, 72 * HOUR_MS, -72 * HOUR_MS] {
        let clock = new_clock();
        let created_at = clock.current_state(machine(100, 0)).time;
        let after = clock.current_state(machine(300, step_ms));
        assert_eq!(after.time.since_ms(created_at), 200, "step by {step_ms} ms");
        assert_eq!(after.to_utc(after.time), machine(300, step_ms).system);
        let corrected = clock.current_state(machine(500, 0));
        assert_eq!(corrected.time.since_ms(created_at), 400);
        assert_eq!(corrected.to_utc(created_at), machine(100, 0).system);
    }
}

#[test]
fn the_state_is_saved_at_intervals_and_after_a_step() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("forebay.db");
    let db = crate::embedded::schema::open_writer(&path).unwrap();
    assert_eq!(load(&db).unwrap(), None);
    let clock = StoreClock::start(&db).unwrap();
    clock.save_while_idle(&db).unwrap();
    assert_eq!(load(&db).unwrap(), None, "saved without a live job");
    clock.save_with_data(&db).unwrap();
    let first = load(&db).unwrap().unwrap();
    clock.save_with_data(&db).unwrap();
    assert_eq!(load(&db).unwrap(), Some(first), "saved twice in a second");

    // The next process starts an hour earlier.
    let ahead = ClockState {
        time: first.time.plus_ms(HOUR_MS.unsigned_abs()),
        shift_ms: 0,
    };
    save(&db, ahead).unwrap();
    let restarted = StoreClock::start(&db).unwrap();
    assert!(restarted.now() >= ahead.time);
    assert!(restarted.to_utc(restarted.now()) < ahead.time);
    // The shift differs from the saved one, so it is saved at once.
    restarted.save_with_data(&db).unwrap();
    assert!(load(&db).unwrap().unwrap().shift_ms < -HOUR_MS);
}
