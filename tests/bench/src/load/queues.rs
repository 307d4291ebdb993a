//! Reads JSON over HTTP, such as the counts of `/v1/queues`.

use std::time::Duration;

use anyhow::Context;
use serde_json::Value;

use super::job::API_KEY;

/// How often a request that is answered with the status 503 is repeated, and after which pause.
const REPEATS_MAX: u32 = 100;
const REPEAT_INTERVAL: Duration = Duration::from_millis(200);

/// Sends a GET and returns the JSON body of the answer. A GET that is answered with the status 503 is repeated for 20 s.
pub(crate) async fn get(client: &reqwest::Client, url: &str) -> anyhow::Result<Value> {
    let mut repeats = 0;
    loop {
        let answer = client.get(url).bearer_auth(API_KEY).send().await?;
        if answer.status().as_u16() != 503 || repeats >= REPEATS_MAX {
            return Ok(answer.error_for_status()?.json().await?);
        }
        repeats += 1;
        tokio::time::sleep(REPEAT_INTERVAL).await;
    }
}

/// How many jobs of the class `interactive` are in this state, which is a field of `/v1/queues`. The count is up to a
/// second old.
pub(crate) async fn count(client: &reqwest::Client, url: &str, state: &str) -> anyhow::Result<u64> {
    let queues = get(client, &format!("{url}/v1/queues")).await?;
    queues["classes"]["interactive"][state]
        .as_u64()
        .with_context(|| format!("the answer of /v1/queues has no number {state}"))
}
