//! The scripted LLM server: chat completions after a latency, over HTTP/1.1 and HTTP/2 without TLS.
//!
//! It counts the calls that are in flight; that number, taken on the far side of the wire, is what the
//! benchmarks report.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::Context;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{net::TcpListener, sync::watch};

/// Streams that one HTTP/2 connection may have: what large providers allow.
const STREAMS_MAX: u32 = 100;

/// How the server answers.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// The shortest latency, in milliseconds.
    #[arg(long)]
    latency_min_ms: u64,
    /// The longest latency, in milliseconds.
    #[arg(long)]
    latency_max_ms: u64,
    /// Answer nothing until `POST /release`.
    #[arg(long)]
    hold: bool,
}

struct Mock {
    options: Options,
    in_flight: AtomicI64,
    done: AtomicU64,
    released: watch::Sender<bool>,
}

/// Counts a call for as long as it lives, also when the client goes away.
struct Counted(Arc<Mock>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

/// Serves until it is killed; prints its address on a line of its own.
pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    anyhow::ensure!(
        options.latency_min_ms <= options.latency_max_ms,
        "--latency-min-ms must not be over --latency-max-ms"
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.context("no port")?;
    println!("{}", listener.local_addr()?);
    let mock = Arc::new(Mock {
        options: options.clone(),
        in_flight: AtomicI64::new(0),
        done: AtomicU64::new(0),
        released: watch::Sender::new(!options.hold),
    });
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let mock = Arc::clone(&mock);
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(Arc::clone(&mock), request));
            let mut server = auto::Builder::new(TokioExecutor::new());
            server.http2().max_concurrent_streams(STREAMS_MAX);
            // A client that goes away ends its connection; that is its affair.
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(
    mock: Arc<Mock>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let reply = match request.uri().path() {
        "/v1/chat/completions" => {
            mock.in_flight.fetch_add(1, Relaxed);
            let counted = Counted(Arc::clone(&mock));
            // The body is read and dropped: what is measured is not this process.
            let _ = request.into_body().collect().await;
            chat(&counted.0).await
        }
        "/stats" => serde_json::json!({
            "in_flight": mock.in_flight.load(Relaxed),
            "done": mock.done.load(Relaxed),
        })
        .to_string(),
        "/release" => {
            mock.released.send_replace(true);
            String::from("{}")
        }
        _ => {
            let mut response = Response::new(Full::new(Bytes::new()));
            *response.status_mut() = StatusCode::NOT_FOUND;
            return Ok(response);
        }
    };
    let mut response = Response::new(Full::new(Bytes::from(reply)));
    let json = http::HeaderValue::from_static("application/json");
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, json);
    Ok(response)
}

async fn chat(mock: &Mock) -> String {
    let _ = mock
        .released
        .subscribe()
        .wait_for(|released| *released)
        .await;
    let Options {
        latency_min_ms,
        latency_max_ms,
        ..
    } = mock.options;
    let latency_ms = rand::random_range(latency_min_ms..=latency_max_ms);
    if latency_ms > 0 {
        tokio::time::sleep(Duration::from_millis(latency_ms)).await;
    }
    mock.done.fetch_add(1, Relaxed);
    serde_json::json!({
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 0,
        "model": "bench",
        "choices": [{
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "A reply of about the length that a short turn of a chat has, so that what \
                            is kept of it weighs what it weighs in use.",
            },
            "finish_reason": "stop",
        }],
        "usage": {"prompt_tokens": 80, "completion_tokens": 30, "total_tokens": 110},
    })
    .to_string()
}
