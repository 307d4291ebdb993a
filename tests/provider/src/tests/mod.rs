//! The scripted server over real sockets.

mod faults;
mod gemini;
mod openai;
mod script;

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::ScriptedLlm;

/// The limit of every wait. Only failing tests reach it.
const LIMIT: Duration = Duration::from_secs(60);

/// An OpenAI request body with these messages.
fn openai_body(messages: &Value) -> Value {
    json!({ "model": "gpt-test", "messages": messages })
}

/// An OpenAI request body with one user message.
fn ask(text: &str) -> Value {
    openai_body(&json!([{ "role": "user", "content": text }]))
}

async fn post_openai(server: &ScriptedLlm, body: &Value) -> (u16, Value) {
    let url = format!("{}/chat/completions", server.openai_base_url());
    let request = reqwest::Client::new().post(url).bearer_auth("key");
    read(request.json(body)).await
}

async fn post_gemini(server: &ScriptedLlm, body: &Value) -> (u16, Value) {
    let base = server.gemini_base_url();
    let url = format!("{base}/models/gemini-test:generateContent");
    let request = reqwest::Client::new().post(url);
    read(request.header("x-goog-api-key", "key").json(body)).await
}

async fn read(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.timeout(LIMIT).send().await.expect("an answer");
    let status = response.status().as_u16();
    (status, response.json().await.expect("a JSON body"))
}

/// A client that writes and reads plain bytes.
struct Raw(TcpStream);

impl Raw {
    async fn connect(server: &ScriptedLlm) -> Self {
        let stream = TcpStream::connect(server.address()).await;
        Self(stream.expect("a connection"))
    }

    /// Sends a valid request.
    async fn ask(&mut self, text: &str) {
        let body = ask(text).to_string();
        let length = body.len();
        let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: test\r\n";
        let request = format!("{head}content-length: {length}\r\n\r\n{body}");
        self.send(request.as_bytes()).await;
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.expect("sent");
    }

    /// Reads until `done` holds for the text so far, or to the end of the stream.
    async fn read_until(&mut self, done: impl Fn(&str) -> bool) -> std::io::Result<String> {
        let mut bytes = Vec::new();
        let reading = async {
            loop {
                let text = String::from_utf8_lossy(&bytes).into_owned();
                if done(&text) || self.0.read_buf(&mut bytes).await? == 0 {
                    return Ok(String::from_utf8_lossy(&bytes).into_owned());
                }
            }
        };
        tokio::time::timeout(LIMIT, reading).await.expect("in time")
    }

    async fn read_to_end(&mut self) -> std::io::Result<String> {
        self.read_until(|_| false).await
    }
}

/// The head and the body of a response, and the length in the head.
fn split(response: &str) -> (&str, &str, Option<usize>) {
    let (head, body) = response.split_once("\r\n\r\n").expect("a head");
    let length = head.split("\r\n").find_map(|line| {
        let length = line.strip_prefix("content-length: ")?;
        length.parse().ok()
    });
    (head, body, length)
}
