//! Runs long computations so that they do not hold up the other tasks of their thread.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Runs `compute` while another thread takes over the tasks of this thread. In a runtime with only one thread, the other tasks
/// wait. The callers have reserved memory for what they compute on, which bounds how many run at a time.
pub fn off_async_threads<T>(compute: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(compute),
        _ => compute(),
    }
}
