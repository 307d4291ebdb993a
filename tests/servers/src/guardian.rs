//! Ends a server if its test process ends without dropping the server's handle. This happens when the test process
//! is killed or aborts, or when the handle is in a static.
//!
//! The guardian is a shell that reads from a pipe. Only the test process holds the pipe's other end open.

use std::{
    io,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
};

use rustix::process::Pid;

/// Waits until the pipe closes, kills the group, gives the killed processes half a second to end, and removes the folder.
const SCRIPT: &str = r#"read -r _; kill -s KILL -- "-$1" 2>/dev/null; sleep 0.5; rm -rf -- "$2""#;

/// The shell that ends one server.
pub(crate) struct Guardian {
    shell: Child,
}

impl Guardian {
    /// Starts a guardian for a process group and its temporary folder.
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
            // An interrupt from the terminal must end the test process only, not this shell.
            .process_group(0)
            .spawn()?;
        Ok(Self { shell })
    }
}

impl Drop for Guardian {
    /// The group has ended or is killed already. Later another group may get its number, so the shell must not send a
    /// signal to that number.
    fn drop(&mut self) {
        // The pipe is still open, so the shell has not signalled anything yet.
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}
