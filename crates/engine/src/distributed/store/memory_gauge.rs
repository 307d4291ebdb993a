//! Tracks whether the server has free memory for new jobs. New jobs are refused before the memory is full, so that running
//! jobs can finish.

use std::sync::atomic::{AtomicBool, Ordering};

use redis::Value;

/// At this percentage of `maxmemory` and above, new jobs are refused.
const FULL_PERCENT: u128 = 80;

/// Stores whether the server was full at the last update.
#[derive(Debug, Default)]
pub(super) struct MemoryGauge {
    is_full: AtomicBool,
}

impl MemoryGauge {
    pub(super) fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    /// Reads the reply to `INFO memory`. The reply of a cluster is a map with one reply for each node.
    pub(super) fn update(&self, reply: &Value) {
        let is_full = match reply {
            Value::Map(nodes) => nodes.iter().any(|(_, info)| reports_full(info)),
            info => reports_full(info),
        };
        self.record_full(is_full);
    }

    /// Records the memory of the only server, in bytes. A maximum of 0 means no limit.
    pub(super) fn record(&self, used: u64, max: u64) {
        self.record_full(is_full(used.into(), max.into()));
    }

    fn record_full(&self, is_full: bool) {
        if self.is_full.swap(is_full, Ordering::Relaxed) != is_full {
            if is_full {
                tracing::warn!(
                    "Redis uses 80 % of its maxmemory or more: new jobs are refused until memory is free; raise maxmemory"
                );
            } else {
                tracing::info!("Redis has free memory again: new jobs are accepted");
            }
        }
    }
}

fn reports_full(info: &Value) -> bool {
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
        (Some(used), Some(max)) => is_full(used, max),
        _ => false,
    }
}

/// A maximum of 0 means no limit.
const fn is_full(used: u128, max: u128) -> bool {
    max > 0 && used * 100 >= max * FULL_PERCENT
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(used: u64, max: u64) -> Value {
        let text =
            format!("# Memory\r\nused_memory:{used}\r\nused_memory_rss:1\r\nmaxmemory:{max}\r\n");
        Value::BulkString(text.into_bytes())
    }

    #[test]
    fn a_server_is_full_at_eighty_percent_of_its_maxmemory() {
        let memory = MemoryGauge::default();
        for (used, max, full) in [(79, 100, false), (80, 100, true), (500, 0, false)] {
            memory.update(&info(used, max));
            assert_eq!(memory.is_full(), full, "{used} of {max}");
            memory.record(used, max);
            assert_eq!(memory.is_full(), full, "{used} of {max}");
        }
    }

    #[test]
    fn a_cluster_is_full_when_one_node_is_full() {
        let memory = MemoryGauge::default();
        let node = |used| (Value::SimpleString(String::from("node")), info(used, 100));
        memory.update(&Value::Map(vec![node(10), node(90)]));
        assert!(memory.is_full());
        memory.update(&Value::Map(vec![node(10), node(20)]));
        assert!(!memory.is_full());
    }
}
