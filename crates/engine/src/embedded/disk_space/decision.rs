//! Decides from the free space whether new jobs are refused. No I/O.

/// A log with fewer bytes is not copied, because the copy would gain little.
const COPIED_LOG_BYTES_MIN: u64 = 256 * 1024;

/// What was measured.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    /// The free bytes of the disk. The reserve is not among them.
    pub(super) free_bytes: u64,
    /// The bytes of the write-ahead log that may still have to be copied into the database. The copy may need as much space.
    pub(super) log_bytes: u64,
    /// The bytes of the reserve.
    pub(super) reserve_bytes: u64,
    /// The bytes of the reserve when nothing of it is released.
    pub(super) reserve_bytes_max: u64,
    /// Whether new jobs are refused now.
    pub(super) is_full: bool,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Nothing.
    Unchanged,
    /// The log should be copied while there is space for the copy.
    CopyLog,
    /// New jobs are refused from now on.
    Full,
    /// The reserve can be filled, and then new jobs can be accepted.
    Free,
}

/// New jobs are refused when the free space is below a quarter of the complete reserve. They are accepted again when, after the reserve
/// is filled and the log is copied, the free space would still be half of the complete reserve.
pub(super) const fn decide(measured: &Measured) -> Decision {
    let Measured {
        free_bytes,
        log_bytes,
        reserve_bytes,
        reserve_bytes_max,
        is_full,
    } = *measured;
    if is_full {
        let missing = reserve_bytes_max.saturating_sub(reserve_bytes);
        return if free_bytes >= missing + log_bytes + reserve_bytes_max / 2 {
            Decision::Free
        } else {
            Decision::Unchanged
        };
    }
    if free_bytes < reserve_bytes_max / 4 {
        return Decision::Full;
    }
    let is_copy_worthwhile = log_bytes >= COPIED_LOG_BYTES_MIN;
    if is_copy_worthwhile && free_bytes < 2 * log_bytes + reserve_bytes_max / 2 {
        return Decision::CopyLog;
    }
    Decision::Unchanged
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    const FREE: Measured = Measured {
        free_bytes: 1_000 * MIB,
        log_bytes: 10 * MIB,
        reserve_bytes: 64 * MIB,
        reserve_bytes_max: 64 * MIB,
        is_full: false,
    };

    #[test]
    fn new_jobs_are_refused_below_a_quarter_of_the_reserve() {
        assert_eq!(decide(&FREE), Decision::Unchanged);
        let full = Measured {
            free_bytes: 16 * MIB - 1,
            log_bytes: 0,
            ..FREE
        };
        assert_eq!(decide(&full), Decision::Full);
        let almost_full = Measured {
            free_bytes: 16 * MIB,
            ..full
        };
        assert_eq!(decide(&almost_full), Decision::Unchanged);
    }

    #[test]
    fn the_log_is_copied_while_the_copy_still_fits() {
        let tight = Measured {
            free_bytes: 51 * MIB,
            ..FREE
        };
        assert_eq!(decide(&tight), Decision::CopyLog);
        let short_log = Measured {
            log_bytes: MIB / 8,
            ..tight
        };
        assert_eq!(decide(&short_log), Decision::Unchanged);
    }

    #[test]
    fn new_jobs_are_accepted_when_the_reserve_can_be_filled() {
        let full = Measured {
            is_full: true,
            reserve_bytes: 20 * MIB,
            free_bytes: (44 + 10 + 32) * MIB,
            ..FREE
        };
        assert_eq!(decide(&full), Decision::Free);
        let less_free = Measured {
            free_bytes: full.free_bytes - 1,
            ..full
        };
        assert_eq!(decide(&less_free), Decision::Unchanged);
    }
}
