//! Finds out how much memory the process may use when `FOREBAY_MEMORY_MAX` is not set: 70 % of the limit of its cgroup, or
//! half of the machine's memory without such a limit.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The machine's memory that is assumed where the system does not report it, as outside Linux.
const UNKNOWN_MEMORY_BYTES: u64 = 4 * 1024 * 1024 * 1024;

/// The memory that this process may use by default, in bytes.
pub(crate) fn default_memory_max() -> u64 {
    default_of(&|path| fs::read_to_string(path).ok())
}

/// The default on a system whose files `read` returns.
fn default_of(read: &dyn Fn(&Path) -> Option<String>) -> u64 {
    let meminfo = read(Path::new("/proc/meminfo"));
    let memory = meminfo.as_deref().and_then(total_memory);
    let memory = memory.unwrap_or(UNKNOWN_MEMORY_BYTES);
    let limit = cgroup_limit(read).filter(|limit| *limit < memory);
    match limit {
        Some(limit) => limit / 10 * 7,
        None => memory / 2,
    }
}

/// The machine's memory, from the text of `/proc/meminfo`.
fn total_memory(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1_024)
}

/// The lowest memory limit of the process's cgroup and of the cgroups above it, in versions 1 and 2.
fn cgroup_limit(read: &dyn Fn(&Path) -> Option<String>) -> Option<u64> {
    let groups = read(Path::new("/proc/self/cgroup"))?;
    let limits = groups.lines().filter_map(|line| {
        // A line is `ID:CONTROLLERS:PATH`. Version 2 has the id 0 and no controllers.
        let (id, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        let is_memory = controllers
            .split(',')
            .any(|controller| controller == "memory");
        let (root, file) = match (id, controllers) {
            ("0", "") => ("/sys/fs/cgroup", "memory.max"),
            _ if is_memory => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            _ => return None,
        };
        lowest_limit(read, Path::new(root), path, file)
    });
    limits.min()
}

/// The lowest limit from the folder `root` and `path` up to `root`. In a container, `path` may not exist, and `root` is the
/// container's own cgroup.
fn lowest_limit(
    read: &dyn Fn(&Path) -> Option<String>,
    root: &Path,
    path: &str,
    file: &str,
) -> Option<u64> {
    let folder: PathBuf = root.join(path.trim_start_matches('/'));
    let folders = folder
        .ancestors()
        .take_while(|ancestor| ancestor.starts_with(root));
    let limits = folders.filter_map(|folder| read(&folder.join(file))?.trim().parse().ok());
    limits.min()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::default_of;

    const MIB: u64 = 1024 * 1024;

    fn default_with(files: &[(&str, &str)]) -> u64 {
        default_of(&|path: &Path| {
            let found = files.iter().find(|(name, _)| Path::new(name) == path);
            found.map(|(_, text)| (*text).to_owned())
        })
    }

    const MEMINFO: (&str, &str) = (
        "/proc/meminfo",
        "MemTotal:        2097152 kB\nMemFree: 1 kB\n",
    );

    #[test]
    fn without_a_limit_half_of_the_memory_is_used() {
        assert_eq!(default_with(&[MEMINFO]), 1_024 * MIB);
        let group = ("/proc/self/cgroup", "0::/a\n");
        let unlimited = ("/sys/fs/cgroup/a/memory.max", "max\n");
        assert_eq!(default_with(&[MEMINFO, group, unlimited]), 1_024 * MIB);
        let group = ("/proc/self/cgroup", "4:memory:/a\n");
        let file = "/sys/fs/cgroup/memory/a/memory.limit_in_bytes";
        let unlimited = (file, "9223372036854771712\n");
        assert_eq!(default_with(&[MEMINFO, group, unlimited]), 1_024 * MIB);
    }

    #[test]
    fn the_lowest_limit_of_the_cgroups_counts() {
        let group = ("/proc/self/cgroup", "0::/a/b\n");
        let outer = ("/sys/fs/cgroup/a/memory.max", "104857600\n");
        let inner = ("/sys/fs/cgroup/a/b/memory.max", "524288000\n");
        assert_eq!(default_with(&[MEMINFO, group, outer, inner]), 70 * MIB);
        // Version 1, in a container that does not see the path of its cgroup.
        let group = (
            "/proc/self/cgroup",
            "9:cpu:/x\n4:hugetlb,memory:/docker/x\n",
        );
        let limit = ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "104857600\n");
        assert_eq!(default_with(&[MEMINFO, group, limit]), 70 * MIB);
    }
}
