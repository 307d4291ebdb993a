//! Workers that can be told apart at the provider: each shows a key of its own.

use e2e::fleet::Fleet;

/// Starts so many workers more, with the keys of 0 and so on.
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
