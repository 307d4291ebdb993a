//! Workers with different API keys, so that a test can distinguish them at the provider.

use e2e::fleet::Fleet;

/// Starts `count` more workers, with the keys 0, 1, …
pub(crate) async fn with_keys(mut fleet: Fleet, count: usize) -> Fleet {
    for n in 0..count {
        fleet.add_worker_with(&[("OPENAI_API_KEY", &key(n))]).await;
    }
    fleet
}

/// The key of worker `n`.
pub(crate) fn key(n: usize) -> String {
    format!("test-key-of-worker-{n}")
}
