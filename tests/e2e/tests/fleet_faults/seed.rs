//! The seed of a test's random choices: the latencies, and the gateway of each submit. The operating system still decides
//! the order of events.

/// The value of `FOREBAY_TEST_SEED`, or a new seed. It is printed, so that the output of a failed test shows it.
pub(crate) fn of_test() -> u64 {
    let given = std::env::var("FOREBAY_TEST_SEED").ok();
    let seed = given.map_or_else(rand::random, |text| text.parse().expect("a number"));
    println!("FOREBAY_TEST_SEED={seed}");
    seed
}
