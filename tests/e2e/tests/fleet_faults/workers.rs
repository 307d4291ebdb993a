//! Workers with different API keys. The provider records the key of each call, so a test knows which worker called.

use e2e::fleet::Fleet;

/// Starts `count` more workers. The worker with the index `n` uses [`key`]`(n)`.
pub(crate) async fn add_with_keys(mut fleet: Fleet, count: usize) -> Fleet {
    for worker in 0..count {
        fleet
            .add_worker_with(&[("OPENAI_API_KEY", &key(worker))])
            .await;
    }
    fleet
}

/// The API key of the worker with this index.
pub(crate) fn key(worker: usize) -> String {
    format!("test-key-of-worker-{worker}")
}
