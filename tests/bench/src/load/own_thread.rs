//! Runs a load on a thread of its own, with a runtime of its own.

use anyhow::Context;
use tokio::{runtime::Builder, sync::oneshot};

/// Runs the future that `work` returns on a new thread, and returns its result.
///
/// # Errors
/// The error of the future, or that the thread could not start or panicked.
pub(crate) async fn on_own_thread<F, T>(
    work: impl FnOnce() -> F + Send + 'static,
) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<T>>,
    T: Send + 'static,
{
    let (send, receive) = oneshot::channel();
    let runtime = Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new()
        .name(String::from("load"))
        .spawn(move || {
            // Nobody waits for the result if the measurement was stopped.
            let _ = send.send(runtime.block_on(work()));
        })?;
    receive.await.context("the thread of the load panicked")?
}
