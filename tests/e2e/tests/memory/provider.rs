//! A provider that reads each request without keeping it, so that the test itself needs little memory.

use std::time::Duration;

use axum::{Router, body::Body, extract::Request, routing::post};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

/// How long a reply takes after the whole request has arrived.
const LATENCY: Duration = Duration::from_millis(100);
/// A larger piece of a body is not parsed.
const SMALL_BYTES_MAX: usize = 4_096;

/// A request for this model is never answered.
pub(crate) const SILENT_MODEL: &str = "gpt-silent";

/// A running provider. Dropping it ends the server.
pub(crate) struct Provider {
    pub(crate) base_url: String,
    task: JoinHandle<()>,
}

impl Provider {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port is free");
        let address = listener.local_addr().expect("the listener has an address");
        let routes = Router::new().route("/v1/chat/completions", post(reply));
        let task = tokio::spawn(async move {
            axum::serve(listener, routes)
                .await
                .expect("the server runs");
        });
        Self {
            base_url: format!("http://{address}/v1"),
            task,
        }
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn is_for_silent_model(body: &[u8]) -> bool {
    let request: Option<Value> = serde_json::from_slice(body).ok();
    request.is_some_and(|request| request["model"] == SILENT_MODEL)
}

async fn reply(request: Request<Body>) -> String {
    let mut body = request.into_body().into_data_stream();
    // Requests for the silent model are small, so one piece contains the whole request.
    let mut is_silent = false;
    while let Some(Ok(piece)) = body.next().await {
        is_silent |= piece.len() < SMALL_BYTES_MAX && is_for_silent_model(&piece);
    }
    if is_silent {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(LATENCY).await;
    let message = json!({ "role": "assistant", "content": "read" });
    let choice = json!({ "index": 0, "message": message, "finish_reason": "stop" });
    let reply =
        json!({ "id": "1", "object": "chat.completion", "model": "gpt-test", "choices": [choice] });
    reply.to_string()
}
