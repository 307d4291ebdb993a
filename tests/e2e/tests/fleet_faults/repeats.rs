//! How many times a test repeats its fault.
//!
//! A short fault is repeated three times. A long fault happens three times only in `.ci/full`.

/// `.ci/full` sets this environment variable.
const LONG: &str = "FOREBAY_TEST_LONG";

/// How many times a long fault happens. A fault with several variants happens at least once in each:
/// `variants` is their number.
pub(crate) fn of_long_fault(variants: usize) -> usize {
    if std::env::var_os(LONG).is_some() {
        3
    } else {
        variants
    }
}
