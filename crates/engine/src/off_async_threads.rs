//! Runs long computations. In a runtime with several threads, they do not hold up the other tasks of their thread.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Runs `compute` while other threads take over the tasks of this thread. In a runtime with only one
/// thread, `compute` blocks the other tasks. The callers have reserved memory for their data, which bounds how many
/// computations run at a time.
pub(crate) fn off_async_threads<T>(compute: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(compute),
        _ => compute(),
    }
}
