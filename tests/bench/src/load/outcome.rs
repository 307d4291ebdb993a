//! Checks that accepted jobs have ended as they should.

use std::time::Duration;

use anyhow::{Context, ensure};

use super::{
    connection::{Connection, address},
    job::{JobRequests, Sessions, text_field},
    own_thread::on_own_thread,
};

/// The most jobs that one call checks. They are spread evenly over all jobs.
const CHECKED_MAX: usize = 5_000;

/// How often a request that is answered with the status 503 is repeated, and after which pause.
const REPEATS_MAX: u32 = 100;
const REPEAT_INTERVAL: Duration = Duration::from_millis(200);

/// Checks that these jobs are completed. Of more than [`CHECKED_MAX`] jobs, it checks only every n-th.
///
/// # Errors
/// If one of them has another status or is unknown.
pub(crate) async fn check_completed(url: &str, ids: &[String]) -> anyhow::Result<()> {
    let step = ids.len().div_ceil(CHECKED_MAX).max(1);
    let checked: Vec<String> = ids.iter().step_by(step).cloned().collect();
    let host = address(url)?;
    let requests = JobRequests::new(host, "", Sessions::None);
    on_own_thread(move || async move {
        let mut connection = Connection::open(host).await?;
        for id in checked {
            let show = requests.show(&id, 0);
            let mut repeats = 0;
            let answer = loop {
                let answer = connection.exchange(&show).await;
                let answer = answer.context("reading a job")?;
                if answer.status != 503 || repeats >= REPEATS_MAX {
                    break answer;
                }
                repeats += 1;
                tokio::time::sleep(REPEAT_INTERVAL).await;
            };
            let status = text_field(answer.body, "status");
            ensure!(
                answer.status == 200 && status == Some("completed"),
                "the accepted job {id} is not completed: {} {}",
                answer.status,
                String::from_utf8_lossy(answer.body)
            );
        }
        Ok(())
    })
    .await
}
