//! Reads from the API which jobs wait for a provider: from `/v1/queues` and `/v1/providers`.

use std::time::Duration;

use e2e::{
    client::{Client, is_terminal},
    fleet::{TIMEOUT, poll_until},
};
use serde_json::Value;

use crate::jobs;

/// The account with this name in `GET /v1/providers`: `openai` for a provider, `openai/gpt-test` for one model of it.
///
/// # Panics
/// If the account is not listed.
pub(crate) async fn account(client: &Client, name: &str) -> Value {
    let body = client.get_until_ok("/v1/providers", TIMEOUT).await;
    let accounts = body["providers"].as_array();
    let account = accounts
        .into_iter()
        .flatten()
        .find(|account| account["name"] == name);
    match account {
        Some(account) => account.clone(),
        None => panic!("there is no account {name} in {body}"),
    }
}

/// Waits until `/v1/queues` shows that all these jobs wait for a provider, and that no other interactive job is ready. The
/// counts are up to a second old.
///
/// # Panics
/// If `timeout` passes; the message has the last counts. If the first of the jobs has ended; the message lists how all ended.
pub(crate) async fn wait_until_jobs_wait(client: &Client, ids: &[String], timeout: Duration) {
    let mut last = Value::Null;
    let mut has_ended = false;
    let is_reached = async || {
        last = interactive_counts(client).await;
        let path = format!("/v1/jobs/{}", ids[0]);
        has_ended = is_terminal(&client.get_until_ok(&path, TIMEOUT).await);
        has_ended || (last["provider_wait"] == ids.len() && last["ready"] == 0)
    };
    let is_reached = poll_until(timeout, is_reached).await;
    if has_ended {
        let ends = jobs::ends(&jobs::wait_for_all(client, ids, timeout).await);
        panic!("the jobs did not wait for their provider, but ended: {ends:?}");
    }
    assert!(
        is_reached,
        "timed out after {timeout:?} waiting until {} jobs wait for their provider; the last counts: {last}",
        ids.len()
    );
}

/// Waits until `/v1/queues` shows this many interactive jobs behind other jobs of their sessions. The counts are up to a second
/// old.
///
/// # Panics
/// If `timeout` passes; the message has the last counts.
pub(crate) async fn wait_for_behind_session(client: &Client, jobs: usize, timeout: Duration) {
    let mut last = Value::Null;
    let is_reached = async || {
        last = interactive_counts(client).await;
        last["behind_session"] == jobs
    };
    assert!(
        poll_until(timeout, is_reached).await,
        "timed out after {timeout:?} waiting for {jobs} jobs behind others; the last counts: {last}"
    );
}

/// The counts of interactive jobs in `/v1/queues`.
async fn interactive_counts(client: &Client) -> Value {
    let queues = client.get_until_ok("/v1/queues", TIMEOUT).await;
    queues["classes"]["interactive"].clone()
}
