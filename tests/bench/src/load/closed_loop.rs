//! Submits jobs over a fixed number of connections. Each connection submits its next job once the last one is accepted.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use futures_util::future::try_join_all;

use super::{
    connection::{Connection, address},
    job::{JobRequests, Sessions, text_field},
    own_thread::on_own_thread,
};

/// How many connections submit jobs.
pub(crate) const CONNECTIONS: usize = 64;

/// How often a submit that is answered with the status 503 is repeated, and after which pause. A disk that stalls for some
/// seconds must not end a measurement of an hour. A repeated submit may create a second job.
const REPEATS_MAX: usize = 100;
const REPEAT_INTERVAL: Duration = Duration::from_millis(200);

/// The jobs that were accepted.
#[derive(Debug, Default)]
pub(crate) struct Accepted {
    /// The ids of the jobs.
    pub(crate) ids: Vec<String>,
    /// How long each submit took, in microseconds.
    pub(crate) latencies_us: Vec<u32>,
    /// How many submits were repeated, because they were answered with the status 503.
    pub(crate) repeated: usize,
    /// From the first submit to the last answer.
    pub(crate) elapsed: Duration,
}

impl Accepted {
    /// The accepted jobs per second.
    #[expect(clippy::cast_precision_loss, reason = "a rate to print")]
    pub(crate) fn per_s(&self) -> f64 {
        self.ids.len() as f64 / self.elapsed.as_secs_f64()
    }
}

/// Submits this many jobs of this model.
///
/// # Errors
/// If a submit is answered with another status than 202 and 503, or with 503 for 20 s.
pub(crate) async fn submit(
    url: &str,
    jobs: usize,
    model: &str,
    sessions: Sessions,
) -> anyhow::Result<Accepted> {
    let host = address(url)?;
    let requests = JobRequests::new(host, model, sessions);
    on_own_thread(move || async move {
        let mut connections = Vec::with_capacity(CONNECTIONS);
        for _ in 0..CONNECTIONS {
            connections.push(Connection::open(host).await?);
        }
        let next = Arc::new(AtomicUsize::new(0));
        let began = Instant::now();
        let loops = connections.into_iter().map(|connection| {
            tokio::spawn(submit_on(
                connection,
                requests.clone(),
                Arc::clone(&next),
                jobs,
            ))
        });
        let mut all = Accepted::default();
        for accepted in try_join_all(loops).await? {
            let accepted = accepted?;
            all.ids.extend(accepted.ids);
            all.latencies_us.extend(accepted.latencies_us);
            all.repeated += accepted.repeated;
        }
        all.elapsed = began.elapsed();
        Ok(all)
    })
    .await
}

async fn submit_on(
    mut connection: Connection,
    requests: JobRequests,
    next: Arc<AtomicUsize>,
    jobs: usize,
) -> anyhow::Result<Accepted> {
    let mut accepted = Accepted::default();
    loop {
        let number = next.fetch_add(1, Relaxed);
        if number >= jobs {
            return Ok(accepted);
        }
        let request = requests.submit(number);
        let began = Instant::now();
        let mut repeats = 0;
        let answer = loop {
            let answer = connection.exchange(&request).await;
            let answer = answer.context("sending a submit")?;
            if answer.status != 503 || repeats >= REPEATS_MAX {
                break answer;
            }
            repeats += 1;
            tokio::time::sleep(REPEAT_INTERVAL).await;
        };
        let latency_us = u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX);
        ensure!(
            answer.status == 202,
            "a submit was answered with the status {}: {}",
            answer.status,
            String::from_utf8_lossy(answer.body)
        );
        let id = text_field(answer.body, "id").context("the answer to a submit has no id")?;
        accepted.ids.push(id.to_owned());
        accepted.latencies_us.push(latency_us);
        accepted.repeated += repeats;
    }
}
