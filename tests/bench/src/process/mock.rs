//! The LLM server that the benchmarks call. It answers chat completions after a latency, over HTTP/1.1 and HTTP/2
//! without TLS.
//!
//! It is the tests' HTTP server with a handler of its own, because the tests' handler records every request. The
//! benchmarks report the number of calls in flight, which this handler counts.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use scripted_provider::http_server::{Exchange, HttpServer, Response};
use serde_json::json;
use tokio::sync::watch;

/// The options of the server.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// The shortest latency, in milliseconds.
    #[arg(long)]
    pub(crate) latency_min_ms: u64,
    /// The longest latency, in milliseconds.
    #[arg(long)]
    pub(crate) latency_max_ms: u64,
    /// Send no reply before a `POST /release`.
    #[arg(long)]
    pub(crate) wait_for_release: bool,
}

impl Options {
    /// The arguments of the command that starts this server.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![
            format!("--latency-min-ms={}", self.latency_min_ms),
            format!("--latency-max-ms={}", self.latency_max_ms),
        ];
        if self.wait_for_release {
            arguments.push(String::from("--wait-for-release"));
        }
        arguments
    }
}

struct Mock {
    options: Options,
    in_flight: AtomicI64,
    done: AtomicU64,
    released: watch::Sender<bool>,
}

/// Counts a call as in flight until the guard is dropped, also when the client disconnects.
struct InFlight<'a>(&'a Mock);

impl<'a> InFlight<'a> {
    fn new(mock: &'a Mock) -> Self {
        mock.in_flight.fetch_add(1, Relaxed);
        Self(mock)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

/// Prints the server's address on a line, and serves until the process is killed.
pub(crate) async fn run(options: &Options) -> anyhow::Result<()> {
    anyhow::ensure!(
        options.latency_min_ms <= options.latency_max_ms,
        "--latency-min-ms must not be higher than --latency-max-ms"
    );
    let mock = Arc::new(Mock {
        options: options.clone(),
        in_flight: AtomicI64::new(0),
        done: AtomicU64::new(0),
        released: watch::Sender::new(!options.wait_for_release),
    });
    let handler = move |exchange| answer(exchange, Arc::clone(&mock));
    let server = HttpServer::builder().try_start(handler).await?;
    println!("{}", server.address());
    std::future::pending().await
}

async fn answer(mut exchange: Exchange, mock: Arc<Mock>) {
    let (status, body) = match exchange.request.target.as_str() {
        "/v1/chat/completions" => {
            let _in_flight = InFlight::new(&mock);
            let reply = tokio::select! {
                reply = chat(&mock) => reply,
                () = exchange.wait_for_disconnect() => return,
            };
            (200, reply)
        }
        "/stats" => {
            let stats = json!({
                "in_flight": mock.in_flight.load(Relaxed),
                "done": mock.done.load(Relaxed),
            });
            (200, stats.to_string())
        }
        "/release" => {
            mock.released.send_replace(true);
            (200, String::from("{}"))
        }
        _ => (404, String::new()),
    };
    exchange.answer(&Response::json(status, body)).await;
}

/// Waits for the release and the latency, and returns the reply.
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
    json!({
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 0,
        "model": "bench",
        "choices": [{
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "A reply of about the length of a short turn of a chat, so that a stored job needs \
                            about as much memory as in real use.",
            },
            "finish_reason": "stop",
        }],
        "usage": {"prompt_tokens": 80, "completion_tokens": 30, "total_tokens": 110},
    })
    .to_string()
}
