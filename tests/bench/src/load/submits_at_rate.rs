//! Submits jobs at a fixed rate, even if some are refused.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use futures_util::future::try_join_all;

use super::{
    connection::{Connection, address},
    job::{JobRequests, Sessions, text_field},
    own_thread::on_own_thread,
    schedule::{Schedule, elapsed_us},
};

/// The most submits in flight. A submit that is due while all connections are busy is sent later.
const CONNECTIONS: usize = 256;

/// The submits of a load.
#[derive(Debug, Default)]
pub(crate) struct Offered {
    /// The ids of the accepted jobs.
    pub(crate) accepted: Vec<String>,
    /// How many submits were answered with the status 503.
    pub(crate) refused: usize,
    /// From the time at which a submit was sent to its answer, in microseconds.
    pub(crate) since_sent_us: Vec<u32>,
    /// From the time at which a submit was due to its answer, in microseconds.
    pub(crate) since_due_us: Vec<u32>,
}

/// Submits jobs of this model at this rate for this time.
///
/// # Errors
/// If a submit is answered with another status than 202 and 503.
pub(crate) async fn submit(
    url: &str,
    rate_per_s: f64,
    time: Duration,
    model: &str,
    sessions: Sessions,
) -> anyhow::Result<Offered> {
    let host = address(url)?;
    let requests = JobRequests::new(host, model, sessions);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a load has fewer jobs than usize::MAX"
    )]
    let jobs = (rate_per_s * time.as_secs_f64()) as usize;
    on_own_thread(move || async move {
        let mut connections = Vec::with_capacity(CONNECTIONS);
        for _ in 0..CONNECTIONS {
            connections.push(Connection::open(host).await?);
        }
        let schedule = Arc::new(Schedule::begin(rate_per_s, jobs));
        let loops = connections.into_iter().map(|connection| {
            tokio::spawn(submit_on(
                connection,
                requests.clone(),
                Arc::clone(&schedule),
            ))
        });
        let mut all = Offered::default();
        for offered in try_join_all(loops).await? {
            let offered = offered?;
            all.accepted.extend(offered.accepted);
            all.refused += offered.refused;
            all.since_sent_us.extend(offered.since_sent_us);
            all.since_due_us.extend(offered.since_due_us);
        }
        Ok(all)
    })
    .await
}

async fn submit_on(
    mut connection: Connection,
    requests: JobRequests,
    schedule: Arc<Schedule>,
) -> anyhow::Result<Offered> {
    let mut offered = Offered::default();
    while let Some((number, due)) = schedule.next().await {
        let request = requests.submit(number);
        let sent = Instant::now();
        let answer = connection.exchange(&request).await;
        let answer = answer.context("sending a submit")?;
        match answer.status {
            202 => {
                let id = text_field(answer.body, "id");
                let id = id.context("the answer to a submit has no id")?;
                offered.accepted.push(id.to_owned());
            }
            503 => offered.refused += 1,
            other => bail!("a submit was answered with the status {other}"),
        }
        offered.since_sent_us.push(elapsed_us(sent));
        offered.since_due_us.push(elapsed_us(due));
    }
    Ok(offered)
}
