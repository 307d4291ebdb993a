//! The limit of open files. Each connection counts as an open file, and many systems allow only 1,024 by default.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit to the hard limit. If the system refuses, the soft limit stays. Logs a warning if the limit is lower
/// than `needed`, the files of a process whose slots and connections are all in use.
pub(crate) fn raise_and_check(needed: u64) {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::debug!(%error, limit = limit.current, "the limit of open files was not raised");
        }
    }
    // `None` is no limit.
    if let Some(limit) = getrlimit(Resource::Nofile).current
        && limit < needed
    {
        tracing::warn!(
            limit,
            needed,
            "the limit of open files is too low for all slots and connections: calls and clients will have to wait; raise it \
             (ulimit -n, LimitNOFILE), or lower FOREBAY_CONCURRENCY"
        );
    }
}
