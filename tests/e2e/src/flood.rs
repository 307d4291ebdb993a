//! Clients that submit as fast as they get answers, for tests of the limits of tenants.

use std::{
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::json;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::client::Client;

/// The number of clients of each gateway.
const CLIENTS: usize = 8;
/// The flood ends when no job was accepted for this time. Within it, each gateway has returned the permits that it does not need, so
/// that the other gateway could lease them.
const QUIET: Duration = Duration::from_secs(4);
/// The pause of a client after a refusal.
const PAUSE: Duration = Duration::from_millis(10);

/// The API key of a tenant in [`write_keys_file`].
#[must_use]
pub fn key_of(tenant: &str) -> String {
    format!("{tenant}-0123456789-0123456789-0123456789")
}

/// Writes a keys file with a key and these limits for each tenant.
///
/// # Panics
/// If the file cannot be written.
pub fn write_keys_file(path: &Path, limits: &[(&str, &str)]) {
    let tenants = limits
        .iter()
        .map(|(tenant, limits)| format!("{tenant}:{}\n[{tenant}] {limits}\n", key_of(tenant)));
    std::fs::write(path, tenants.collect::<String>()).expect("the file is written");
}

/// Submits jobs of a tenant at these URLs until no more are accepted, or until `time` has passed. Returns the number of accepted jobs.
///
/// # Panics
/// If an answer is neither 202 nor 429.
pub async fn flood(urls: &[String], tenant: &str, time: Duration) -> u64 {
    let began = Instant::now();
    let accepted = Arc::new(AtomicU64::new(0));
    let last_accepted = Arc::new(Mutex::new(began));
    let mut clients = JoinSet::new();
    for url in urls {
        let client = Client::new(url).with_api_key(&key_of(tenant));
        for _ in 0..CLIENTS {
            let (client, accepted) = (client.clone(), Arc::clone(&accepted));
            let last_accepted = Arc::clone(&last_accepted);
            clients.spawn(async move {
                loop {
                    let quiet = {
                        let last = last_accepted.lock();
                        last.unwrap_or_else(PoisonError::into_inner).elapsed()
                    };
                    if quiet > QUIET || began.elapsed() > time {
                        return;
                    }
                    let answer = client.submit(&json!({ "input": "hello" })).await;
                    match answer.status.as_u16() {
                        202 => {
                            accepted.fetch_add(1, Ordering::Relaxed);
                            let last = last_accepted.lock();
                            *last.unwrap_or_else(PoisonError::into_inner) = Instant::now();
                        }
                        429 => sleep(PAUSE).await,
                        status => panic!("the answer was {status}: {}", answer.body),
                    }
                }
            });
        }
    }
    clients.join_all().await;
    accepted.load(Ordering::Relaxed)
}

/// Asserts that at most `limit` jobs were accepted, and at least 95 % of `limit`.
///
/// # Panics
/// If more or fewer jobs were accepted.
pub fn assert_limited(accepted: u64, limit: u64, description: &str) {
    println!("{description}: {accepted} of {limit} were accepted");
    assert!(accepted <= limit, "{description}: {accepted} of {limit}");
    assert!(
        accepted * 100 >= limit * 95,
        "{description}: {accepted} of {limit}"
    );
}
