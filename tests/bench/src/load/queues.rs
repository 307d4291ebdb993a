//! Reads JSON, such as the counts of the processes.

use anyhow::Context;
use serde_json::Value;

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

/// How many jobs of the class `interactive` are in this state, which is a field of `/v1/queues`. The count is up to a
/// second old.
pub(crate) async fn count(client: &reqwest::Client, url: &str, state: &str) -> anyhow::Result<u64> {
    let queues = get(client, &format!("{url}/v1/queues")).await?;
    queues["classes"]["interactive"][state]
        .as_u64()
        .with_context(|| format!("the answer of /v1/queues has no number {state}"))
}
