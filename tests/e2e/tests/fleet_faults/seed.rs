//! The seed of a test. It decides the provider's latencies and the gateway of each submit. The order of
//! events still depends on the operating system.

/// `FOREBAY_TEST_SEED`, or a new seed. The output of a failed test shows it.
pub(crate) fn from_env_or_random() -> u64 {
    let given = std::env::var("FOREBAY_TEST_SEED").ok();
    let seed = given.map_or_else(rand::random, |text| text.parse().expect("a number"));
    println!("FOREBAY_TEST_SEED={seed}");
    seed
}
