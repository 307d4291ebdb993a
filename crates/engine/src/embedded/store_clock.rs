//! The store's clock. It starts from the system's clock and then advances with the machine's monotonic clock, so a step of
//! the system's clock does not change it. `clock_state` has the rule.
//!
//! The database holds the newest state, so that a restart with an earlier system clock does not turn the store's clock back.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use forebay_shared::time::TimeMs;
use rusqlite::Connection;

use super::columns::{TimeColumn, int};
use crate::clock_state::{ClockState, MachineTime};

/// The interval between two saves while the process writes other data too.
const SAVE_INTERVAL: Duration = Duration::from_secs(1);
/// The interval between two saves while the process writes nothing else but has live jobs.
const IDLE_SAVE_INTERVAL: Duration = Duration::from_secs(60);
/// After a restart with an earlier system clock, the store's clock begins this much after the saved time. The store may
/// contain times of up to one save interval after the saved time.
const UNSAVED_MS_MAX: u64 = 1_000;

/// The store's clock.
#[derive(Debug)]
pub(super) struct StoreClock {
    /// The monotonic clock at the start, in milliseconds.
    started_ms: u64,
    /// The store's time at the start.
    start: TimeMs,
    shift: Mutex<ShiftAndSave>,
}

/// The shift and the last save, which change after the start.
#[derive(Debug)]
struct ShiftAndSave {
    /// The system's clock minus the store's clock.
    shift_ms: i64,
    /// The state that was saved last.
    saved: ClockState,
}

impl StoreClock {
    /// Starts the clock with the state in the database.
    pub(super) fn start(db: &Connection) -> rusqlite::Result<Self> {
        let machine = MachineTime::read();
        let saved = load(db)?;
        let state = match saved {
            Some(saved) => saved.after_restart(machine.system, UNSAVED_MS_MAX),
            None => ClockState::new(machine.system),
        };
        Ok(Self::with_state(saved.unwrap_or_default(), state, machine))
    }

    /// Starts the clock with a database that has none of the engine's tables.
    #[cfg(test)]
    pub(super) fn start_in_test(db: &Connection) -> Self {
        db.execute_batch(
            "CREATE TABLE clock (time INTEGER, shift_ms INTEGER); INSERT INTO clock VALUES (0, 0)",
        )
        .unwrap();
        Self::start(db).unwrap()
    }

    fn with_state(saved: ClockState, state: ClockState, machine: MachineTime) -> Self {
        Self {
            started_ms: machine.monotonic_ms,
            start: state.time,
            shift: Mutex::new(ShiftAndSave {
                shift_ms: state.shift_ms,
                saved,
            }),
        }
    }

    /// The current time. It never goes back, and advances as fast as the monotonic clock.
    pub(super) fn now(&self) -> TimeMs {
        self.at(MachineTime::monotonic_ms())
    }

    /// The moment of the system's clock that corresponds to a time of the store's clock.
    pub(super) fn to_utc(&self, time: TimeMs) -> TimeMs {
        self.current_state(MachineTime::read()).to_utc(time)
    }

    fn at(&self, monotonic_ms: u64) -> TimeMs {
        self.start
            .plus_ms(monotonic_ms.saturating_sub(self.started_ms))
    }

    /// Returns the state now. If the system's clock was set, the shift changes, and the step is logged.
    fn current_state(&self, machine: MachineTime) -> ClockState {
        let mut shift = self.lock();
        let state = ClockState {
            time: self.at(machine.monotonic_ms),
            shift_ms: shift.shift_ms,
        };
        let next = state.after_step(machine.system);
        if next != state {
            tracing::warn!(
                by_s = (next.shift_ms.saturating_sub(state.shift_ms)) / 1_000,
                "the system's clock was set; waits and time limits go on as before, and all times are shown by the new clock"
            );
            shift.shift_ms = next.shift_ms;
        }
        next
    }

    fn lock(&self) -> MutexGuard<'_, ShiftAndSave> {
        self.shift.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Saves the state if the last save is too old, or if the shift has changed since. Called in each transaction that writes data.
    pub(super) fn save_with_data(&self, db: &Connection) -> rusqlite::Result<()> {
        self.save_after(SAVE_INTERVAL, db)
    }

    /// The same while a job is live, with a longer interval between two saves. Called once a second.
    pub(super) fn save_while_idle(&self, db: &Connection) -> rusqlite::Result<()> {
        let has_live_jobs = db
            .prepare_cached("SELECT 1 FROM timers LIMIT 1")?
            .exists([])?;
        if has_live_jobs {
            self.save_after(IDLE_SAVE_INTERVAL, db)?;
        }
        Ok(())
    }

    fn save_after(&self, interval: Duration, db: &Connection) -> rusqlite::Result<()> {
        let state = self.current_state(MachineTime::read());
        let saved = self.lock().saved;
        let age_ms = u128::from(state.time.since_ms(saved.time));
        if age_ms < interval.as_millis() && state.shift_ms == saved.shift_ms {
            return Ok(());
        }
        save(db, state)?;
        // If the transaction is rolled back, the next save comes one interval later than it should. The state in the database
        // stays valid.
        self.lock().saved = state;
        Ok(())
    }
}

fn load(db: &Connection) -> rusqlite::Result<Option<ClockState>> {
    let mut select = db.prepare_cached("SELECT time, shift_ms FROM clock")?;
    let state = select.query_row([], |row| {
        let TimeColumn(time) = row.get(0)?;
        let shift_ms = row.get(1)?;
        Ok(ClockState { time, shift_ms })
    })?;
    // The time of a new database is 0.
    Ok((state.time > TimeMs(0)).then_some(state))
}

fn save(db: &Connection, state: ClockState) -> rusqlite::Result<()> {
    db.prepare_cached("UPDATE clock SET time = ?1, shift_ms = ?2")?
        .execute((int(state.time.0), state.shift_ms))
        .map(drop)
}

#[cfg(test)]
mod tests;
