//! The rule of the store's clock.
//!
//! The store's clock is steady: it never goes back, and it advances as fast as a monotonic clock. So a step of the system's
//! clock, in either direction, neither stops the waits of jobs nor ends them early. All times that are stored, and all times
//! that are compared, are times of the store's clock.
//!
//! Users see the times of the system's clock. The difference between the two clocks is the shift. A step of the system's clock
//! changes the shift, and so all times that are shown, past ones included. When a wrong clock is corrected, the times that
//! were stored while it was wrong are shown correctly.
//!
//! Everything here is a pure function of its arguments, except [`MachineTime`].

use std::time::{SystemTime, UNIX_EPOCH};

use forebay_shared::time::TimeMs;

/// A difference of at least this much between the system's clock and its expected time is a step. The operating system
/// corrects smaller differences by changing the rate of its clocks. The times that are shown are exact to within this much.
pub(crate) const STEP_MS_MIN: u64 = 1_000;

/// A moment of both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClockState {
    /// The store's clock.
    pub(crate) time: TimeMs,
    /// The system's clock minus the store's clock, in milliseconds.
    pub(crate) shift_ms: i64,
}

impl ClockState {
    /// The state of a store without data.
    pub(crate) const fn new(system: TimeMs) -> Self {
        Self {
            time: system,
            shift_ms: 0,
        }
    }

    /// The system's time at the time `time` of the store's clock.
    pub(crate) fn to_utc(self, time: TimeMs) -> TimeMs {
        TimeMs(time.0.saturating_add_signed(self.shift_ms))
    }

    /// The same moment, once the system's clock has returned `system`. If this is a step, the shift changes. The store's clock keeps its
    /// time.
    pub(crate) fn after_step(self, system: TimeMs) -> Self {
        if self.to_utc(self.time).0.abs_diff(system.0) < STEP_MS_MIN {
            return self;
        }
        Self {
            time: self.time,
            shift_ms: signed_difference_ms(system, self.time),
        }
    }

    /// The state at the start of a process. `self` is the last saved state, and `system` is what the system's clock returns
    /// now. The store may contain times of up to `unsaved_ms_max` after the saved time.
    ///
    /// If the system's clock has advanced, the pause between the two processes counts as elapsed time. If the clock was set
    /// back, the length of the pause is not known, and the store's clock continues `unsaved_ms_max` after the saved time.
    pub(crate) fn after_restart(self, system: TimeMs, unsaved_ms_max: u64) -> Self {
        let by_system = TimeMs(
            system
                .0
                .saturating_add_signed(self.shift_ms.saturating_neg()),
        );
        if by_system >= self.time {
            return Self {
                time: by_system,
                shift_ms: self.shift_ms,
            };
        }
        let time = self.time.plus_ms(unsaved_ms_max);
        Self { time, ..self }.after_step(system)
    }
}

/// `later - earlier` in milliseconds, which may be negative.
pub(crate) fn signed_difference_ms(later: TimeMs, earlier: TimeMs) -> i64 {
    let ms = later.0.abs_diff(earlier.0);
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    if later >= earlier { ms } else { -ms }
}

/// The clocks of this machine at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MachineTime {
    /// The monotonic clock, in milliseconds since an unspecified moment.
    pub(crate) monotonic_ms: u64,
    /// The system's clock, which can be set.
    pub(crate) system: TimeMs,
}

impl MachineTime {
    /// Reads both clocks.
    pub(crate) fn read() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        let system_ms = since_epoch.map_or(0, |since| {
            u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
        });
        Self {
            monotonic_ms: Self::monotonic_ms(),
            system: TimeMs(system_ms),
        }
    }

    /// Reads the monotonic clock. On Linux, it also counts the time for which the machine is suspended: the time
    /// limit of a job also passes while a laptop sleeps.
    pub(crate) fn monotonic_ms() -> u64 {
        #[cfg(target_os = "linux")]
        let clock = rustix::time::ClockId::Boottime;
        // On macOS this clock counts that time too.
        #[cfg(not(target_os = "linux"))]
        let clock = rustix::time::ClockId::Monotonic;
        let now = rustix::time::clock_gettime(clock);
        let seconds_ms = now.tv_sec.unsigned_abs().saturating_mul(1_000);
        seconds_ms.saturating_add(now.tv_nsec.unsigned_abs() / 1_000_000)
    }
}

#[cfg(test)]
mod tests;
