//! The identity of a process, which its spans carry.

/// The identity of a process.
#[derive(Clone, Copy, Debug)]
pub struct Service<'a> {
    /// The name of the service, unless a variable sets another.
    pub name: &'a str,
    /// The id of the process.
    pub instance: &'a str,
    /// The release.
    pub version: &'a str,
}
