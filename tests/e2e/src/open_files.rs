//! The limit on open files. Tests need many open files, for the connections of their clients and scripted providers.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises this process's soft limit on open files to the hard limit. The processes under test do the same for
/// themselves.
pub fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // If this fails, a test that needs more files fails with its own message.
    let _ = setrlimit(Resource::Nofile, raised);
}
