//! The Python environment of the tests, with the packages of `requirements.txt`. `tests/run` makes it.

use std::path::PathBuf;

/// The path of a program of the environment, such as `python`.
///
/// # Panics
/// If the environment does not exist.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let program = root.join("target/test-python/bin").join(name);
    assert!(
        program.exists(),
        "{} is missing: run tests/run once",
        program.display()
    );
    program
}
