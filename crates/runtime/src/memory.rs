//! Divides the memory of the process into shares, each of which is a budget of its own. So one use cannot starve another.

use crate::byte_budget::ByteBudget;

/// The part of the memory that is not divided, at most: the program, its threads and connections, the caches of the engine,
/// and the small jobs and requests, which reserve nothing. It is never more than half of the memory.
const BASE_BYTES: u64 = 96 * 1024 * 1024;

/// The shares of the memory of a process.
#[derive(Clone, Debug)]
pub struct MemoryShares {
    /// What calls hold: the inputs of jobs and the requests to providers. Three eighths of what is divided.
    pub calls: ByteBudget,
    /// The replies of more than 64 KiB and at most 1 MiB. A twenty-fourth.
    pub medium_replies: ByteBudget,
    /// The replies of more than 1 MiB. A twelfth.
    pub large_replies: ByteBudget,
    /// The bodies of large requests. A twelfth.
    pub bodies: ByteBudget,
    /// The parsed bodies, until their jobs are stored. An eighth.
    pub parsed_bodies: ByteBudget,
    /// The bodies of small requests. A twenty-fourth.
    pub small_bodies: ByteBudget,
    /// What responses show, and what commits read. A quarter.
    pub reads: ByteBudget,
}

impl MemoryShares {
    /// Divides this many bytes.
    #[must_use]
    pub fn of(memory_max: u64) -> Self {
        let divided = memory_max - BASE_BYTES.min(memory_max / 2);
        Self {
            calls: ByteBudget::new(divided / 8 * 3),
            medium_replies: ByteBudget::new(divided / 24),
            large_replies: ByteBudget::new(divided / 12),
            bodies: ByteBudget::new(divided / 12),
            parsed_bodies: ByteBudget::new(divided / 24 * 3),
            small_bodies: ByteBudget::new(divided / 24),
            reads: ByteBudget::new(divided / 4),
        }
    }

    /// All shares with their names.
    #[must_use]
    pub const fn named(&self) -> [(&'static str, &ByteBudget); 7] {
        [
            ("calls", &self.calls),
            ("medium_replies", &self.medium_replies),
            ("large_replies", &self.large_replies),
            ("bodies", &self.bodies),
            ("parsed_bodies", &self.parsed_bodies),
            ("small_bodies", &self.small_bodies),
            ("reads", &self.reads),
        ]
    }
}

impl Default for MemoryShares {
    /// The shares of 1 GiB.
    fn default() -> Self {
        Self::of(1024 * 1024 * 1024)
    }
}

#[cfg(test)]
mod tests {
    use super::MemoryShares;

    #[test]
    fn the_shares_together_are_at_most_the_memory_without_its_base() {
        const MIB: u64 = 1024 * 1024;
        for (memory, divided) in [(64, 32), (192, 96), (512, 416), (4_096, 4_000)] {
            let shares = MemoryShares::of(memory * MIB);
            let calls = [&shares.calls, &shares.medium_replies, &shares.large_replies];
            assert!(calls.iter().map(|share| share.total()).sum::<u64>() <= divided / 2 * MIB);
            let bodies = [&shares.bodies, &shares.parsed_bodies, &shares.small_bodies];
            let bodies = bodies.iter().map(|share| share.total()).sum::<u64>();
            assert!(bodies <= divided / 4 * MIB);
            assert_eq!(shares.reads.total(), divided / 4 * MIB);
        }
    }
}
