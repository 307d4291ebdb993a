//! Submits to axum alone, from the same clients as Forebay's.

use crate::{context::Context, installation::MODEL, load::closed_loop, process::subject::Subject};

#[expect(clippy::cast_precision_loss, reason = "figures to print")]
pub(super) async fn measure(context: &Context) -> anyhow::Result<Vec<(String, f64)>> {
    let axum = Subject::bare_gateway().await?;
    let (warm_up_jobs, jobs) = context.run.size((2_000, 200_000), (100, 5_000));
    let sessions = context.run.sessions;
    closed_loop::submit(&axum.url, warm_up_jobs, MODEL, sessions).await?;
    let before = axum.usage()?;
    let accepted = closed_loop::submit(&axum.url, jobs, MODEL, sessions).await?;
    let cpu_us = (axum.usage()?.cpu_us - before.cpu_us) as f64 / jobs as f64;
    axum.kill().await?;
    Ok(vec![
        (
            String::from("axum alone, POST over 64 connections, /s"),
            accepted.per_s(),
        ),
        (String::from("axum alone, CPU time, us a POST"), cpu_us),
    ])
}
