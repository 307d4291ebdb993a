//! Whole processes with little memory: many large sessions are run and read, and many large jobs submitted, at the same time.
//! The kernel kills a process that needs more than its limit.
//!
//! The sessions are created by processes without a limit. Then a process with the limit starts over the same data (embedded), or
//! a gateway and a worker with one limit each (fleet). While the large work runs, small jobs are submitted one after the other.
//! Each of them must be accepted. How long that takes is printed, and not asserted.

mod installation;
mod provider;
mod sizes;
mod small_jobs;
mod work;

use installation::{Engine, Installation};
use sizes::Sizes;

/// The memory limit of each process.
const MEMORY_MAX_BYTES: u64 = 512 * 1_024 * 1_024;

async fn run(engine: Engine, sizes: Sizes) {
    let installation = Installation::start(engine, &sizes, MEMORY_MAX_BYTES).await;
    let client = &installation.client;
    let small_jobs = small_jobs::start(client);
    println!("{engine:?}: one after the other");
    work::run_sessions(client, &sizes, "alone").await;
    work::read_sessions(client, &sizes).await;
    work::submit_jobs(client, &sizes, "alone").await;
    work::interrupt_jobs(client, &sizes, "alone").await;
    println!("{engine:?}: all at once");
    tokio::join!(
        work::run_sessions(client, &sizes, "together"),
        work::read_sessions(client, &sizes),
        work::submit_jobs(client, &sizes, "together"),
        work::interrupt_jobs(client, &sizes, "together"),
    );
    small_jobs.stop().await;
    for (name, bytes) in installation.memory_peaks_bytes() {
        println!("{engine:?}: {name} used at most {} MiB", bytes >> 20);
        assert!(bytes <= MEMORY_MAX_BYTES, "{name} used {bytes} bytes");
    }
}

mod embedded {
    use super::{Engine, Sizes, run};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[ignore = "long: runs in .ci/full"]
    async fn large_sessions_and_jobs_fit_into_512_mib() {
        run(Engine::Embedded, Sizes::SOME).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[ignore = "long: runs in .ci/full"]
    async fn many_large_sessions_and_jobs_fit_into_512_mib() {
        run(Engine::Embedded, Sizes::MANY).await;
    }
}

mod fleet {
    use super::{Engine, Sizes, run};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[ignore = "long: runs in .ci/full"]
    async fn large_sessions_and_jobs_fit_into_512_mib() {
        run(Engine::Distributed, Sizes::SOME).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[ignore = "long: runs in .ci/full"]
    async fn many_large_sessions_and_jobs_fit_into_512_mib() {
        run(Engine::Distributed, Sizes::MANY).await;
    }
}
