//! Tests of the scripted server over real sockets.

mod faults;
mod first_bytes;
mod gemini;
mod limits;
mod openai;
mod script;

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::ScriptedLlm;

/// The timeout of each wait. Only failing tests reach it.
const TIMEOUT: Duration = Duration::from_secs(60);

/// An OpenAI request body with these messages.
fn openai_body(messages: &Value) -> Value {
    json!({ "model": "gpt-test", "messages": messages })
}

/// An OpenAI request body with one user message.
fn openai_body_of(text: &str) -> Value {
    openai_body(&json!([{ "role": "user", "content": text }]))
}

async fn post_openai(server: &ScriptedLlm, body: &Value) -> (u16, Value) {
    let url = format!("{}/chat/completions", server.openai_base_url());
    let request = reqwest::Client::new().post(url).bearer_auth("key");
    send(request.json(body)).await
}

async fn post_gemini(server: &ScriptedLlm, body: &Value) -> (u16, Value) {
    let base = server.gemini_base_url();
    let url = format!("{base}/models/gemini-test:generateContent");
    let request = reqwest::Client::new().post(url);
    send(request.header("x-goog-api-key", "key").json(body)).await
}

/// Sends the request and returns the status and the JSON body of the response.
async fn send(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request
        .timeout(TIMEOUT)
        .send()
        .await
        .expect("the server sends a response");
    let status = response.status().as_u16();
    (status, response.json().await.expect("the response is JSON"))
}

/// A client that writes and reads plain bytes.
struct RawClient(TcpStream);

impl RawClient {
    async fn connect(server: &ScriptedLlm) -> Self {
        let stream = TcpStream::connect(server.address()).await;
        Self(stream.expect("the server accepts the connection"))
    }

    /// Sends a valid request with one user message.
    async fn send_request(&mut self, text: &str) {
        let body = openai_body_of(text).to_string();
        let length = body.len();
        let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: test\r\n";
        let request = format!("{head}content-length: {length}\r\n\r\n{body}");
        self.write(request.as_bytes()).await;
    }

    async fn write(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.expect("the bytes are sent");
    }

    /// Reads until `done` is true for the text so far, or to the end of the stream. Returns the text.
    async fn read_until(&mut self, done: impl Fn(&str) -> bool) -> std::io::Result<String> {
        let mut bytes = Vec::new();
        let read = async {
            loop {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                if done(&text) || self.0.read_buf(&mut bytes).await? == 0 {
                    return Ok(String::from_utf8_lossy(&bytes).into_owned());
                }
            }
        };
        tokio::time::timeout(TIMEOUT, read)
            .await
            .expect("the response ends in time")
    }

    async fn read_to_end(&mut self) -> std::io::Result<String> {
        self.read_until(|_| false).await
    }
}

/// Splits a response into its head, its body, and the `content-length` in its head.
fn split_response(response: &str) -> (&str, &str, Option<usize>) {
    let (head, body) = response
        .split_once("\r\n\r\n")
        .expect("the response has a complete head");
    let content_length = head.split("\r\n").find_map(|line| {
        let length = line.strip_prefix("content-length: ")?;
        length.parse().ok()
    });
    (head, body, content_length)
}
