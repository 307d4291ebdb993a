//! The CPU time and the memory that processes have used, from `/proc` (proc(5)).

use std::{fs, ops::AddAssign};

use anyhow::Context;

/// What a process or a process group has used so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// User and system time, in microseconds. The kernel reports it in ticks of 10 ms.
    pub(crate) cpu_us: u64,
    /// Resident memory, in bytes.
    pub(crate) rss_bytes: u64,
    /// The most resident memory so far, in bytes.
    pub(crate) rss_peak_bytes: u64,
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.cpu_us += other.cpu_us;
        self.rss_bytes += other.rss_bytes;
        self.rss_peak_bytes += other.rss_peak_bytes;
    }
}

impl Usage {
    /// The usage of one process, without its children.
    ///
    /// # Errors
    /// If the process has ended.
    pub(crate) fn of_process(pid: u32) -> anyhow::Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let stat = Stat::parse(&stat).context("the stat file of the process has other fields")?;
        Self::read(pid, stat.own_ticks)
    }

    /// The usage of all processes of a group, and of their ended children.
    ///
    /// # Errors
    /// If no process of the group runs.
    pub(crate) fn of_group(group: u32) -> anyhow::Result<Self> {
        let mut usage = None;
        for entry in fs::read_dir("/proc")?.flatten() {
            let name = entry.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            // A process may end while its files are read.
            let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            let Some(stat) = Stat::parse(&stat).filter(|stat| stat.group == group) else {
                continue;
            };
            if let Ok(process) = Self::read(pid, stat.own_ticks + stat.children_ticks) {
                *usage.get_or_insert_with(Self::default) += process;
            }
        }
        usage.with_context(|| format!("no process of the group {group} runs"))
    }

    fn read(pid: u32, ticks: u64) -> anyhow::Result<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let bytes = |name: &str| -> anyhow::Result<u64> {
            let value = status.lines().find_map(|line| line.strip_prefix(name));
            let value =
                value.with_context(|| format!("the status of the process has no {name}"))?;
            Ok(value.trim().trim_end_matches(" kB").parse::<u64>()? * 1_024)
        };
        Ok(Self {
            cpu_us: ticks * 1_000_000 / rustix::param::clock_ticks_per_second(),
            rss_bytes: bytes("VmRSS:")?,
            rss_peak_bytes: bytes("VmHWM:")?,
        })
    }
}

/// The fields of a `stat` file that are used here.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    group: u32,
    own_ticks: u64,
    /// The ticks of the ended children that the process has waited for.
    children_ticks: u64,
}

impl Stat {
    fn parse(stat: &str) -> Option<Self> {
        // The fields follow the process name. The name is in brackets and can contain any character.
        let (_, fields) = stat.rsplit_once(") ")?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        // The first of these fields is the third of proc(5).
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        Some(Self {
            group: u32::try_from(number(5)?).ok()?,
            own_ticks: number(14)? + number(15)?,
            children_ticks: number(16)? + number(17)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Stat;

    #[test]
    fn the_fields_of_a_stat_file_are_found_although_the_process_name_contains_brackets() {
        let stat = "17 (a) b (c) S 1 16 17 0 -1 4 10 20 30 40 5 6 7 8 20 0 3 0";
        let expected = Stat {
            group: 16,
            own_ticks: 11,
            children_ticks: 15,
        };
        assert_eq!(Stat::parse(stat), Some(expected));
        assert_eq!(Stat::parse("17"), None);
    }
}
