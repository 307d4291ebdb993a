//! The load: jobs submitted over HTTP, and what the servers say of themselves.

use anyhow::{Context, ensure};
use futures_util::{StreamExt, stream};
use serde_json::Value;

/// Submits at a time.
const AT_ONCE: usize = 64;

/// The text of each job: a short message of a chat.
pub(crate) const INPUT_BYTES: usize = 400;

/// Submits so many jobs, each of a session of its own.
pub(crate) async fn submit(url: &str, jobs: usize, model: &str) -> anyhow::Result<()> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let run = format!("{:08x}", rand::random::<u32>());
    let input = "x".repeat(INPUT_BYTES);
    let mut submits = stream::iter(0..jobs)
        .map(|n| {
            let session = format!("bench-{run}-{n}");
            let job = serde_json::json!({"session_id": session, "model": model, "input": input});
            let submit = client.post(format!("{url}/v1/jobs")).json(&job).send();
            async move {
                let response = submit.await.context("a submit failed")?;
                let status = response.status().as_u16();
                ensure!(status == 202, "a submit was answered {status}");
                response
                    .bytes()
                    .await
                    .context("an answer was cut off")
                    .map(drop)
            }
        })
        .buffer_unordered(AT_ONCE);
    while let Some(submitted) = submits.next().await {
        submitted?;
    }
    Ok(())
}

/// What `GET url` answers.
pub(crate) async fn get(client: &reqwest::Client, url: &str) -> anyhow::Result<Value> {
    Ok(client
        .get(url)
        .send()
        .await?
        .error_for_status()?
        .json()
        .await?)
}

/// How many jobs of the class `interactive` are counted as `what`.
pub(crate) async fn queue(client: &reqwest::Client, url: &str, what: &str) -> anyhow::Result<u64> {
    let queues = get(client, &format!("{url}/v1/queues")).await?;
    queues["classes"]["interactive"][what]
        .as_u64()
        .with_context(|| format!("no {what}"))
}
