//! How many times a test repeats its fault.
//!
//! A short fault happens at least three times. A long fault happens three times only in `.ci/full`, and less often otherwise.

/// The environment variable that `.ci/full` sets.
const LONG: &str = "FOREBAY_TEST_LONG";

/// How many times a long fault happens. If the fault has several variants, each variant happens at least once.
pub(crate) fn of_long_fault(variants: usize) -> usize {
    if std::env::var_os(LONG).is_some() {
        3
    } else {
        variants
    }
}
