//! Makes the calls of Forebay's workers with reqwest alone. `in_flight` compares the memory of this process with
//! Forebay's memory.

use std::{convert::Infallible, io::Write};

use anyhow::Context;
use futures_util::future::try_join_all;

/// The length of the message of a call.
const INPUT_BYTES: usize = 400;

/// The number of calls on one client, as in Forebay. Large providers allow as many calls on one HTTP/2 connection.
const CALLS_PER_CLIENT: usize = 100;

/// The calls that are made.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// The provider's base URL.
    #[arg(long)]
    base_url: String,
    /// The number of calls in flight.
    #[arg(long)]
    calls: usize,
    /// The version of HTTP: 1 or 2.
    #[arg(long)]
    http: u8,
}

/// Makes the calls until the process is killed. Each call is repeated when its response has arrived.
pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    // `Subject` waits for this line.
    println!("calling {}", options.base_url);
    std::io::stdout().flush()?;
    let url = format!("{}/chat/completions", options.base_url);
    let mut callers = Vec::with_capacity(options.calls);
    let mut client = client(options.http)?;
    for number in 0..options.calls {
        if number > 0 && number % CALLS_PER_CLIENT == 0 {
            client = self::client(options.http)?;
        }
        callers.push(tokio::spawn(call(client.clone(), url.clone())));
    }
    for result in try_join_all(callers).await? {
        result.context("a call failed")?;
    }
    Ok(())
}

fn client(http: u8) -> reqwest::Result<reqwest::Client> {
    let builder = reqwest::Client::builder().no_proxy();
    let builder = if http == 2 {
        builder.http2_prior_knowledge()
    } else {
        builder
    };
    builder.build()
}

async fn call(client: reqwest::Client, url: String) -> anyhow::Result<Infallible> {
    let message = serde_json::json!({ "role": "user", "content": "x".repeat(INPUT_BYTES) });
    let request = serde_json::json!({ "model": "bench", "messages": [message] });
    loop {
        let call = client.post(&url).bearer_auth("bench").json(&request);
        let response = call.send().await?.error_for_status()?;
        response.bytes().await?;
    }
}
