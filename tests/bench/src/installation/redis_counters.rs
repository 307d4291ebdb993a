//! What a Redis server counts itself: commands, memory and the size of its append-only file (`INFO`).

use anyhow::Context;
use servers::redis::Redis;

/// What a Redis server has run since its start, and the sizes of its data now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RedisCounters {
    /// All commands, with those that scripts call.
    pub(crate) commands: u64,
    /// The scripts that were run.
    pub(crate) scripts: u64,
    /// The memory that Redis has allocated, in bytes.
    pub(crate) memory_bytes: u64,
    /// The size of the append-only file, in bytes.
    pub(crate) append_only_file_bytes: u64,
}

impl RedisCounters {
    pub(super) async fn read(redis: &Redis) -> anyhow::Result<Self> {
        Self::parse(&redis.cli(&["INFO", "everything"]).await?)
    }

    fn parse(info: &str) -> anyhow::Result<Self> {
        let number = |name: &str| -> anyhow::Result<u64> {
            let value = info
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let value = value.with_context(|| format!("INFO has no {name}"))?;
            Ok(value.trim().parse()?)
        };
        let (mut commands, mut scripts) = (0, 0);
        for line in info.lines() {
            let Some((name, fields)) = line
                .strip_prefix("cmdstat_")
                .and_then(|line| line.split_once(':'))
            else {
                continue;
            };
            let calls = fields
                .strip_prefix("calls=")
                .and_then(|fields| fields.split(',').next());
            let calls: u64 = calls.context("a line of INFO has no calls")?.parse()?;
            commands += calls;
            if [
                "eval",
                "evalsha",
                "eval_ro",
                "evalsha_ro",
                "fcall",
                "fcall_ro",
            ]
            .contains(&name)
            {
                scripts += calls;
            }
        }
        Ok(Self {
            commands,
            scripts,
            memory_bytes: number("used_memory")?,
            append_only_file_bytes: number("aof_current_size")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::RedisCounters;

    #[test]
    fn the_counters_are_found() {
        let info = "# Memory\r\nused_memory_rss:1\r\nused_memory:900\r\naof_current_size:77\r\n\
                    cmdstat_evalsha:calls=3,usec=9\r\ncmdstat_config|get:calls=2,usec=1\r\n";
        let expected = RedisCounters {
            commands: 5,
            scripts: 3,
            memory_bytes: 900,
            append_only_file_bytes: 77,
        };
        assert_eq!(RedisCounters::parse(info).expect("INFO is valid"), expected);
    }
}
