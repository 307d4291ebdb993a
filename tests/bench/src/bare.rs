//! The same calls as Forebay's workers make, by reqwest alone: the memory that Forebay's is compared with.

use std::{convert::Infallible, io::Write};

use anyhow::Context;
use futures_util::future::try_join_all;

use crate::load::INPUT_BYTES;

/// Calls on one client, as in Forebay: what large providers allow on an HTTP/2 connection.
const CALLS_PER_CLIENT: usize = 100;

/// Which calls are made.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// The provider's base URL.
    #[arg(long)]
    base_url: String,
    /// Calls in flight.
    #[arg(long)]
    calls: usize,
    /// The version of HTTP: 1 or 2.
    #[arg(long)]
    http: u8,
}

/// Makes the calls, each again when it is answered, until the process is killed.
pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
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
    for ended in try_join_all(callers).await? {
        ended.context("a call failed")?;
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
