//! The seed of a test, from which its random choices follow: latencies, and who submits to which gateway.
//! What order all this happens in is still the system's to say.

/// `FOREBAY_TEST_SEED`, or a new one. Printed, and so shown when the test fails.
pub(crate) fn of_test() -> u64 {
    let given = std::env::var("FOREBAY_TEST_SEED").ok();
    let seed = given.map_or_else(rand::random, |text| text.parse().expect("a number"));
    println!("FOREBAY_TEST_SEED={seed}");
    seed
}
