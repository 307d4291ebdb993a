//! How long the store may take before a request is told that it is away.
//!
//! Changes of lanes go through [`Lanes`](forebay_runtime::lanes::Lanes), which keeps to the same time
//! itself and repeats what a hiccup cut off.

use std::{future::Future, time::Duration};

use forebay_shared::store::StoreError;
use tokio::time::timeout;

use crate::problem::Problem;

/// How long the store may take for one call.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// The store's answer, or the problem that it gave none.
pub(crate) async fn within<T>(
    call: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, Problem> {
    match timeout(PATIENCE, call).await {
        Ok(result) => result.map_err(|error| Problem::from_store(&error)),
        Err(_) => Err(Problem::from_store(&StoreError::Unavailable(None))),
    }
}
