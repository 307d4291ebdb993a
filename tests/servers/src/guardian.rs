//! What ends a server whose test process died without dropping its handle: killed, aborted, or done while
//! the handle stood in a static. A shell waits for the end of a pipe that only this process holds open.

use std::{
    io,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
};

use rustix::process::Pid;

/// Kills the group at once, and then removes the folder, since nobody else is left to do it.
const SCRIPT: &str = r#"read -r _; kill -s KILL -- "-$1" 2>/dev/null; sleep 0.5; rm -rf -- "$2""#;

pub(crate) struct Guardian {
    shell: Child,
}

impl Guardian {
    /// Watches over a process group, and the temporary folder that is its own.
    pub(crate) fn watch(group: Pid, folder: &Path) -> io::Result<Self> {
        let shell = Command::new("/bin/sh")
            .args([
                "-c",
                SCRIPT,
                "guardian",
                &group.as_raw_nonzero().to_string(),
            ])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // An interrupt at the terminal ends the test, and must leave this shell to notice.
            .process_group(0)
            .spawn()?;
        Ok(Self { shell })
    }
}

impl Drop for Guardian {
    /// The group has been ended already: its number may come to be another's, so the shell must not act.
    fn drop(&mut self) {
        // It is killed while its pipe is open, so it cannot have begun.
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}
