//! Workers that use different API keys, so that the provider's record shows which worker made a call.

use e2e::fleet::Fleet;

/// Starts `count` more workers. Worker `n` uses [`key`]`(n)`.
pub(crate) async fn add_with_keys(mut fleet: Fleet, count: usize) -> Fleet {
    for n in 0..count {
        fleet.add_worker_with(&[("OPENAI_API_KEY", &key(n))]).await;
    }
    fleet
}

/// The API key of worker `n`.
pub(crate) fn key(n: usize) -> String {
    format!("test-key-of-worker-{n}")
}
