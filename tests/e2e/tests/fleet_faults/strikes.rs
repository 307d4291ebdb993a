//! How often a fault strikes in one test.
//!
//! Short faults always strike three times. A fault that takes long strikes once, and three times in `.ci/full`.

/// `.ci/full` sets this environment variable.
const LONG: &str = "FOREBAY_TEST_LONG";

/// How often a long fault strikes. `kinds` is the number of its variants, each of which strikes at least once.
pub(crate) fn of_long_fault(kinds: usize) -> usize {
    if std::env::var_os(LONG).is_some() {
        3
    } else {
        kinds
    }
}
