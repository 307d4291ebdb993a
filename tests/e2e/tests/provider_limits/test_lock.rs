//! Decides which tests of this binary run at the same time. A test that compares measurements runs alone.

use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

static LOCK: RwLock<()> = RwLock::const_new(());

/// Waits until no other test runs. No other test starts while the test keeps this guard.
pub(crate) async fn exclusive() -> RwLockWriteGuard<'static, ()> {
    LOCK.write().await
}

/// Waits until no test holds an exclusive guard. Other tests with a shared guard may run at the same time.
pub(crate) async fn shared() -> RwLockReadGuard<'static, ()> {
    LOCK.read().await
}
