//! How full the server is. New jobs are refused before its memory is used up, so that what is running
//! has room to finish.

use std::sync::atomic::{AtomicBool, Ordering};

use redis::Value;

/// From this share of `maxmemory` on, in percent, no new jobs are accepted.
const FULL_PERCENT: u128 = 80;

/// Whether the server was full when it was last asked.
#[derive(Debug, Default)]
pub(super) struct Memory {
    full: AtomicBool,
}

impl Memory {
    pub(super) fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// Takes in what `INFO memory` said; of a cluster, what each node said.
    pub(super) fn note(&self, answer: &Value) {
        let full = match answer {
            Value::Map(nodes) => nodes.iter().any(|(_, info)| says_full(info)),
            info => says_full(info),
        };
        if self.full.swap(full, Ordering::Relaxed) != full {
            if full {
                tracing::warn!("the memory of Redis is nearly used up: no new jobs are accepted");
            } else {
                tracing::info!("Redis has memory again: new jobs are accepted");
            }
        }
    }
}

fn says_full(info: &Value) -> bool {
    let text = match info {
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes),
        Value::VerbatimString { text, .. } | Value::SimpleString(text) => text.as_str().into(),
        _ => return false,
    };
    let number = |name: &str| -> Option<u128> {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line?.strip_prefix(':')?.trim().parse().ok()
    };
    match (number("used_memory"), number("maxmemory")) {
        // Without a bound it is never full.
        (Some(used), Some(bound)) if bound > 0 => used * 100 >= bound * FULL_PERCENT,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(used: u64, bound: u64) -> Value {
        let text =
            format!("# Memory\r\nused_memory:{used}\r\nused_memory_rss:1\r\nmaxmemory:{bound}\r\n");
        Value::BulkString(text.into_bytes())
    }

    #[test]
    fn is_full_from_four_fifths_on() {
        let memory = Memory::default();
        for (used, bound, full) in [(79, 100, false), (80, 100, true), (500, 0, false)] {
            memory.note(&info(used, bound));
            assert_eq!(memory.is_full(), full, "{used} of {bound}");
        }
    }

    #[test]
    fn one_full_node_of_a_cluster_is_enough() {
        let memory = Memory::default();
        let node = |used| (Value::SimpleString(String::from("node")), info(used, 100));
        memory.note(&Value::Map(vec![node(10), node(90)]));
        assert!(memory.is_full());
        memory.note(&Value::Map(vec![node(10), node(20)]));
        assert!(!memory.is_full());
    }
}
