//! The sizes and numbers of sessions, reads and jobs of the memory tests.

/// The bytes of the only message of a large session. `FOREBAY_BODY_BYTES_MAX` is 64 MiB while the session is created, then
/// 10 MiB.
pub(crate) const SESSION_BYTES: usize = 30 * 1_024 * 1_024;
/// The bytes of the input of a large job. With the JSON around it, the body stays below 10 MiB.
pub(crate) const JOB_BYTES: usize = 10 * 1_024 * 1_024 - 1_024;

/// The numbers of sessions, reads and jobs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// The sessions of [`SESSION_BYTES`] that run at once, which is also the number of slots.
    pub(crate) sessions: usize,
    /// The reads of such sessions at once.
    pub(crate) reads: usize,
    /// The submits of [`JOB_BYTES`] at once.
    pub(crate) submits: usize,
    /// The waiting jobs of [`JOB_BYTES`] of a session that one job interrupts. A session has at most 200 live jobs, and one runs.
    pub(crate) interrupted: usize,
}

impl Sizes {
    /// Enough to exceed the limit if nothing waits for memory.
    pub(crate) const SOME: Self = Self {
        sessions: 8,
        reads: 16,
        submits: 12,
        interrupted: 8,
    };
    /// The numbers of a large installation. Takes hours in a debug build, so `.ci/full` runs it in a release build.
    pub(crate) const MANY: Self = Self {
        sessions: 64,
        reads: 200,
        submits: 100,
        interrupted: 199,
    };
}
