//! Room for the connections of a test: its clients' and its scripted provider's.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the soft limit of open files of this process to the hard one. What the processes under test
/// inherit is of no matter: they do the same.
pub(super) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // If it is refused, a test that needs more fails by itself and says so.
    let _ = setrlimit(Resource::Nofile, raised);
}
