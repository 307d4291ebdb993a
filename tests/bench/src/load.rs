//! Submits jobs over HTTP, and reads the counts of the processes.

use anyhow::{Context, ensure};
use futures_util::{StreamExt, stream};
use serde_json::Value;

/// How many submits are in flight at a time.
const SUBMITS_AT_ONCE: usize = 64;

/// The length of each job's input: a short message of a chat.
pub(crate) const INPUT_BYTES: usize = 400;

/// Submits this many jobs, each in a session of its own.
pub(crate) async fn submit(url: &str, jobs: usize, model: &str) -> anyhow::Result<()> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let run = format!("{:08x}", rand::random::<u32>());
    let input = "x".repeat(INPUT_BYTES);
    let mut submits = stream::iter(0..jobs)
        .map(|number| {
            let session = format!("bench-{run}-{number}");
            let job = serde_json::json!({"session_id": session, "model": model, "input": input});
            let submit = client.post(format!("{url}/v1/jobs")).json(&job).send();
            async move {
                let response = submit.await.context("sending a submit")?;
                let status = response.status().as_u16();
                ensure!(
                    status == 202,
                    "a submit was answered with the status {status}"
                );
                response
                    .bytes()
                    .await
                    .context("reading the answer to a submit")
                    .map(drop)
            }
        })
        .buffer_unordered(SUBMITS_AT_ONCE);
    while let Some(submitted) = submits.next().await {
        submitted?;
    }
    Ok(())
}

/// Sends a GET and returns the JSON body of the answer.
pub(crate) async fn get(client: &reqwest::Client, url: &str) -> anyhow::Result<Value> {
    Ok(client
        .get(url)
        .send()
        .await?
        .error_for_status()?
        .json()
        .await?)
}

/// How many jobs of the class `interactive` are in this state, which is a field of `/v1/queues`.
pub(crate) async fn count(client: &reqwest::Client, url: &str, state: &str) -> anyhow::Result<u64> {
    let queues = get(client, &format!("{url}/v1/queues")).await?;
    queues["classes"]["interactive"][state]
        .as_u64()
        .with_context(|| format!("the answer of /v1/queues has no number {state}"))
}
