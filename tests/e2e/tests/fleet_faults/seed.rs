//! The seed of a test. It determines the provider's latencies and the gateway of each submit. The order of events still
//! depends on the operating system.

/// `FOREBAY_TEST_SEED`, or a new seed. The function prints it, so a failed test shows its seed.
pub(crate) fn from_env_or_random() -> u64 {
    let variable = std::env::var("FOREBAY_TEST_SEED").ok();
    let seed = variable.map_or_else(rand::random, |text| {
        text.parse().expect("FOREBAY_TEST_SEED is a number")
    });
    println!("FOREBAY_TEST_SEED={seed}");
    seed
}
