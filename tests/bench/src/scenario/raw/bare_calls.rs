//! Calls of the LLM server with reqwest alone, 256 at a time.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::{
    context::Context,
    load::queues,
    process::{mock, subject::Subject},
};

/// As many as a worker has slots.
const CALLS: usize = 256;

#[expect(clippy::cast_precision_loss, reason = "figures to print")]
pub(super) async fn measure(context: &Context) -> anyhow::Result<Vec<(String, f64)>> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let provider = mock::Options {
        latency_min_ms: 0,
        latency_max_ms: 0,
        wait_for_release: false,
    };
    let provider = Subject::mock(&provider.arguments()).await?;
    let caller = Subject::bare(&[
        format!("--base-url={}/v1", provider.url),
        format!("--calls={CALLS}"),
        String::from("--http=1"),
    ])
    .await?;
    let stats = format!("{}/stats", provider.url);
    let done = async || -> anyhow::Result<u64> {
        let stats = queues::get(&client, &stats).await?;
        Ok(stats["done"].as_u64().unwrap_or(0))
    };
    sleep(Duration::from_millis(500)).await;
    let (done_before, before, began) = (done().await?, caller.usage()?, Instant::now());
    let milliseconds = context.run.size(5_000, 500);
    sleep(Duration::from_millis(milliseconds)).await;
    let (done_after, after) = (done().await?, caller.usage()?);
    let calls = (done_after - done_before) as f64;
    let per_s = calls / began.elapsed().as_secs_f64();
    let cpu_us = (after.cpu_us - before.cpu_us) as f64 / calls;
    Ok(vec![
        (
            format!("reqwest alone, {CALLS} calls at a time, calls/s"),
            per_s,
        ),
        (String::from("reqwest alone, CPU time, us a call"), cpu_us),
    ])
}
