//! The least HTTP server that answers a submit: axum alone. It reads the body and returns an id.

use std::{
    io::Write,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use axum::{Router, body::Bytes, http::StatusCode, routing::post};
use tokio::net::TcpListener;

static ACCEPTED: AtomicU64 = AtomicU64::new(0);

/// Prints the server's address on a line, and serves until the process is killed.
pub(crate) async fn run() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    std::io::stdout().flush()?;
    let router = Router::new().route("/v1/jobs", post(accept));
    axum::serve(listener, router).await?;
    Ok(())
}

async fn accept(body: Bytes) -> (StatusCode, String) {
    let number = ACCEPTED.fetch_add(1, Relaxed);
    let answer = format!(r#"{{"id":"job_{number:032x}","bytes":{}}}"#, body.len());
    (StatusCode::ACCEPTED, answer)
}
