//! Clients that submit a job and fetch its result, by waiting (`wait_s`) or by polling.

use std::{sync::Arc, time::Duration, time::Instant};

use anyhow::{Context, ensure};
use futures_util::future::try_join_all;

use super::{
    connection::{Connection, address},
    job::{JobRequests, Sessions, text_field},
    own_thread::on_own_thread,
    schedule::{Schedule, elapsed_us},
};

/// The most clients at the same time.
const CLIENTS: usize = 64;
/// The wait of one request, in seconds.
const WAIT_S: u32 = 30;
/// How long a job may take.
const JOB_TIMEOUT: Duration = Duration::from_secs(120);

/// How a client learns that its job has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fetch {
    /// With `wait_s`.
    Wait,
    /// By one request after each interval.
    Poll(Duration),
}

/// Submits jobs at a rate and fetches their results. Returns how long each job took, in microseconds, from its submit to its
/// result.
///
/// # Errors
/// If a request fails, or a job is not completed within two minutes.
pub(crate) async fn fetch_at_rate(
    url: &str,
    rate_per_s: f64,
    jobs: usize,
    requests: Requests,
    fetch: Fetch,
) -> anyhow::Result<Vec<u32>> {
    let host = address(url)?;
    let requests = JobRequests::new(host, requests.model, requests.sessions);
    on_own_thread(move || async move {
        let mut connections = Vec::with_capacity(CLIENTS);
        for _ in 0..CLIENTS {
            connections.push(Connection::open(host).await?);
        }
        let schedule = Arc::new(Schedule::begin(rate_per_s, jobs));
        let clients = connections.into_iter().map(|mut connection| {
            let (requests, schedule) = (requests.clone(), Arc::clone(&schedule));
            tokio::spawn(async move {
                let mut took_us = Vec::new();
                while let Some((number, _)) = schedule.next().await {
                    let submit = requests.submit(number);
                    took_us.push(run_job(&mut connection, &requests, &submit, fetch).await?);
                }
                anyhow::Ok(took_us)
            })
        });
        let mut all = Vec::with_capacity(jobs);
        for took_us in try_join_all(clients).await? {
            all.extend(took_us?);
        }
        Ok(all)
    })
    .await
}

/// The model and the sessions of a load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Requests {
    pub(crate) model: &'static str,
    pub(crate) sessions: Sessions,
}

/// Submits this many turns of one session, each after the reply to the turn before it. Returns how long each took, in
/// microseconds.
///
/// # Errors
/// If a request fails, or a job is not completed within two minutes.
pub(crate) async fn fetch_turns(
    url: &str,
    session: &str,
    turns: usize,
    model: &str,
) -> anyhow::Result<Vec<u32>> {
    let host = address(url)?;
    let requests = JobRequests::new(host, model, Sessions::None);
    let submit = requests.submit_to(Some(session));
    on_own_thread(move || async move {
        let mut connection = Connection::open(host).await?;
        let mut took_us = Vec::with_capacity(turns);
        for _ in 0..turns {
            took_us.push(run_job(&mut connection, &requests, &submit, Fetch::Wait).await?);
        }
        Ok(took_us)
    })
    .await
}

/// Submits this many turns of one session without waiting for their replies. Returns the ids of the jobs.
///
/// # Errors
/// If a submit is not answered with the status 202.
pub(crate) async fn submit_turns(
    url: &str,
    session: &str,
    turns: usize,
    model: &str,
) -> anyhow::Result<Vec<String>> {
    let host = address(url)?;
    let submit = JobRequests::new(host, model, Sessions::None).submit_to(Some(session));
    on_own_thread(move || async move {
        let mut connection = Connection::open(host).await?;
        let mut ids = Vec::with_capacity(turns);
        for _ in 0..turns {
            ids.push(submit_job(&mut connection, &submit).await?);
        }
        Ok(ids)
    })
    .await
}

async fn submit_job(connection: &mut Connection, submit: &[u8]) -> anyhow::Result<String> {
    let answer = connection.exchange(submit).await;
    let answer = answer.context("sending a submit")?;
    ensure!(
        answer.status == 202,
        "a submit was answered with the status {}",
        answer.status
    );
    let id = text_field(answer.body, "id").context("the answer to a submit has no id")?;
    Ok(id.to_owned())
}

async fn run_job(
    connection: &mut Connection,
    requests: &JobRequests,
    submit: &[u8],
    fetch: Fetch,
) -> anyhow::Result<u32> {
    let began = Instant::now();
    let id = submit_job(connection, submit).await?;
    let wait_s = match fetch {
        Fetch::Wait => WAIT_S,
        Fetch::Poll(_) => 0,
    };
    let show = requests.show(&id, wait_s);
    loop {
        if let Fetch::Poll(interval) = fetch {
            tokio::time::sleep(interval).await;
        }
        let answer = connection.exchange(&show).await.context("reading a job")?;
        let status = text_field(answer.body, "status").unwrap_or_default();
        match status {
            "completed" => return Ok(elapsed_us(began)),
            "queued" | "in_progress" => ensure!(
                began.elapsed() < JOB_TIMEOUT,
                "the job {id} has not ended after {JOB_TIMEOUT:?}"
            ),
            _ => anyhow::bail!(
                "the accepted job {id} is not completed: {} {}",
                answer.status,
                String::from_utf8_lossy(answer.body)
            ),
        }
    }
}
