//! Random numbers from a seed (`SplitMix64`), so that each run can be repeated.

use std::ops::RangeInclusive;

pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number of the range.
    pub(crate) const fn within(&mut self, range: &RangeInclusive<u64>) -> u64 {
        *range.start() + self.next() % (*range.end() - *range.start() + 1)
    }

    /// A number from 0 to 1.
    pub(crate) const fn fraction(&mut self) -> f64 {
        self.within(&(0..=1_000_000)) as f64 / 1_000_000.0
    }
}
