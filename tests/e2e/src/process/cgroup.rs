//! A control group with a limit on memory, for one process. Beyond the limit, the kernel kills the process.
//!
//! Version 2 of control groups (`memory.max`) is tried first, then version 1 (`memory.limit_in_bytes`). A machine may allow
//! neither, for example in a container without privileges.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use uuid::Uuid;

/// Where control groups are mounted.
const MOUNT: &str = "/sys/fs/cgroup";
/// How often the removal of a group is tried, and the pause between two tries. The kernel refuses the removal while the killed
/// process is in the group.
const REMOVE_TRIES: u32 = 200;
const REMOVE_PAUSE: Duration = Duration::from_millis(10);

/// A control group, which is removed when it is dropped.
#[derive(Debug)]
pub(super) struct Cgroup {
    folder: PathBuf,
}

impl Cgroup {
    /// A new group. `None` if the machine allows none.
    pub(super) fn with_memory_max(bytes: u64) -> Option<Self> {
        let name = format!("forebay-test-{}", Uuid::new_v4().simple());
        let version_2 = || {
            let mount = Path::new(MOUNT);
            // Only a mounted file system of version 2 has this file.
            fs::metadata(mount.join("cgroup.controllers"))?;
            // The controller may be enabled already. Then this write changes nothing.
            fs::write(mount.join("cgroup.subtree_control"), "+memory")?;
            Self::create(
                &mount.join(&name),
                &[("memory.max", bytes), ("memory.swap.max", 0)],
            )
        };
        let version_1 = || {
            let mount = Path::new(MOUNT).join("memory");
            Self::create(&mount.join(&name), &[("memory.limit_in_bytes", bytes)])
        };
        version_2().or_else(|_: io::Error| version_1()).ok()
    }

    fn create(folder: &Path, limits: &[(&str, u64)]) -> io::Result<Self> {
        fs::create_dir(folder)?;
        let group = Self {
            folder: folder.to_owned(),
        };
        for (file, bytes) in limits {
            fs::write(folder.join(file), bytes.to_string())?;
        }
        Ok(group)
    }

    /// The file to which a process writes its id in order to enter the group.
    pub(super) fn processes_file(&self) -> PathBuf {
        self.folder.join("cgroup.procs")
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for _ in 0..REMOVE_TRIES {
            match fs::remove_dir(&self.folder) {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                    std::thread::sleep(REMOVE_PAUSE);
                }
                _ => return,
            }
        }
    }
}
