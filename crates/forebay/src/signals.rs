//! The signals that stop a process: SIGTERM, SIGINT (Ctrl-C in a terminal), and SIGHUP (a terminal that is closed).

use std::{fs, io};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Receives the signals.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// `None` if the process ignores SIGHUP, as a process that `nohup` has started does.
    hangup: Option<Signal>,
}

impl Signals {
    /// Registers for the signals. From now on they no longer end the process by themselves.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: if is_hangup_ignored() {
                None
            } else {
                Some(signal(SignalKind::hangup())?)
            },
        })
    }

    /// Waits for the next signal. Returns its name.
    pub(crate) async fn next(&mut self) -> &'static str {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            _ = hangup => "SIGHUP",
        }
    }
}

/// Whether the process was started with SIGHUP ignored. Only Linux shows this.
fn is_hangup_ignored() -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hangup(&status))
}

fn ignores_hangup(status: &str) -> bool {
    let ignored = status.lines().find_map(|row| row.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // The lowest bit is signal 1, SIGHUP.
    ignored.is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::ignores_hangup;

    #[test]
    fn an_ignored_sighup_is_read_from_the_status_of_the_process() {
        for (mask, expected) in [
            ("0000000000001001", true),
            ("0000000000001000", false),
            ("x", false),
        ] {
            let status = format!("Name:\tforebay\nSigBlk:\t0000000000000001\nSigIgn:\t{mask}\n");
            assert_eq!(ignores_hangup(&status), expected, "{mask}");
        }
        assert!(!ignores_hangup(""));
    }
}
