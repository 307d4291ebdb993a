//! Thousands of generated odd requests over raw sockets. Each complete and well-formed request gets an answer, none gets a 5xx,
//! and each refusal names what is wrong, such as a field, a header or a parameter. Afterwards, the process uses at most a tenth
//! more memory than after the warm-up.
//!
//! - `generator`: makes a request from a seed.
//! - `odd_json`: bodies.
//! - `exchange`: sends a request and checks the response.

mod exchange;
mod generator;
mod odd_json;

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rand::{SeedableRng, rngs::StdRng};
use tokio::task::JoinSet;

use self::{exchange::send_and_check, generator::OddRequest};
use crate::fixture::Fixture;

/// How many requests are sent in `.ci/full`.
const LONG_REQUESTS: u64 = 20_000;
/// How many requests are sent otherwise.
const REQUESTS: u64 = 2_000;
/// How many requests are sent before the memory is measured for the first time.
const WARM_UP_REQUESTS: u64 = 1_000;
const CONCURRENCY: usize = 8;
/// How long the process may take to give memory back.
const MEMORY_TIMEOUT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn odd_requests_are_answered_and_refusals_name_what_is_wrong() {
    let seed = seed_from_env_or_random();
    let is_long = std::env::var_os("FOREBAY_TEST_LONG").is_some();
    let requests = if is_long { LONG_REQUESTS } else { REQUESTS };
    let env = [
        ("FOREBAY_MODEL", "simulated"),
        ("FOREBAY_SIMULATED_LATENCY_MS", "0"),
        ("FOREBAY_RESULT_TTL_S", "1"),
        ("FOREBAY_SESSION_TTL_S", "1"),
    ];
    let fixture = Fixture::with(&env).await;
    let address = fixture.forebay.url().trim_start_matches("http://");
    let address: SocketAddr = address.parse().expect("the URL has an address");

    // The warm-up sends other requests of the same kinds.
    send_all(address, !seed, WARM_UP_REQUESTS).await;
    let before = settled_memory_kib(&fixture).await;
    send_all(address, seed, requests).await;
    let limit = before + before / 10;
    let mut after = memory_kib(&fixture);
    let deadline = tokio::time::Instant::now() + MEMORY_TIMEOUT;
    while after > limit && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(200)).await;
        after = memory_kib(&fixture);
    }
    println!("{requests} requests: {before} KiB before, {after} KiB after");
    assert!(
        after <= limit,
        "memory: {before} KiB before, {after} KiB after"
    );
    fixture.client.get("/healthz").await.expect(200);
    fixture.client.get("/readyz").await.expect(200);
}

/// `FOREBAY_TEST_SEED`, or a new seed. Prints it, so that a failed test shows its seed.
fn seed_from_env_or_random() -> u64 {
    let variable = std::env::var("FOREBAY_TEST_SEED").ok();
    let seed = variable.map_or_else(rand::random, |text| {
        text.parse().expect("FOREBAY_TEST_SEED is a number")
    });
    println!("FOREBAY_TEST_SEED={seed}");
    seed
}

/// Sends requests from several tasks at once. The number of a request and the seed determine the request.
async fn send_all(address: SocketAddr, seed: u64, requests: u64) {
    let next = Arc::new(AtomicU64::new(0));
    let mut senders = JoinSet::new();
    for _ in 0..CONCURRENCY {
        let next = Arc::clone(&next);
        senders.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= requests {
                    return;
                }
                let mut random = StdRng::seed_from_u64(seed.wrapping_add(number));
                let request = OddRequest::generate(&mut random);
                send_and_check(address, number, &request).await;
            }
        });
    }
    while let Some(ended) = senders.join_next().await {
        if let Err(failure) = ended {
            std::panic::resume_unwind(failure.into_panic());
        }
    }
}

/// The resident memory of the process (`VmRSS`), in KiB.
fn memory_kib(fixture: &Fixture) -> u64 {
    let path = format!("/proc/{}/status", fixture.forebay.pid());
    let status = std::fs::read_to_string(path).expect("the process is running");
    let value = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let value = value.expect("the status has the memory");
    let kib = value.trim().trim_end_matches(" kB").parse();
    kib.expect("the memory is a number")
}

/// The memory once it no longer falls.
async fn settled_memory_kib(fixture: &Fixture) -> u64 {
    let mut memory = memory_kib(fixture);
    loop {
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        let next = memory_kib(fixture);
        if next + next / 100 >= memory {
            return next;
        }
        memory = next;
    }
}
