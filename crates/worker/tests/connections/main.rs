//! Calls to a provider over real sockets: how a call ends for each behaviour of servers and proxies.

mod faults;
mod frames;
mod http1;
mod http1_answers;
mod http2;
mod http2_answers;
mod limits;
mod peer;
mod proxy;
mod server;

use std::time::Duration;

use forebay_shared::{
    job::Request,
    secret::Secret,
    turn::{Role, Turn},
};
use forebay_worker::provider::{
    Answer, Call, Failure, Provider as _,
    http::{Endpoint, HttpLimits, HttpSettings},
    openai::{OpenAi, OpenAiSettings},
};

/// How long a test waits for an event.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The body of every answer.
const REPLY: &str = r#"{"id":"r","choices":[{"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}"#;

fn provider(base_url: &str) -> OpenAi {
    provider_with(base_url, http_settings())
}

/// A provider that gets HTTP/2 requests without negotiation.
fn http2_provider(base_url: &str) -> OpenAi {
    let http = HttpSettings {
        http2_prior_knowledge: true,
        ..http_settings()
    };
    provider_with(base_url, http)
}

fn http_settings() -> HttpSettings {
    HttpSettings {
        limits: HttpLimits {
            connect_ms: 60_000,
            ..HttpLimits::default()
        },
        ..HttpSettings::default()
    }
}

fn provider_with(base_url: &str, http: HttpSettings) -> OpenAi {
    OpenAi::new(OpenAiSettings {
        name: String::from("test"),
        base_url: Endpoint::parse(base_url).expect("the URL is valid"),
        key: Some(Secret::new("sk-test")),
        max_tokens_field: None,
        headers: Vec::new(),
        http,
    })
    .expect("the provider is created")
}

async fn ask(provider: &OpenAi) -> Result<Answer, Failure> {
    ask_with_prompt_of(provider, 5).await
}

/// Makes a call with a prompt of `prompt_bytes` bytes.
async fn ask_with_prompt_of(provider: &OpenAi, prompt_bytes: usize) -> Result<Answer, Failure> {
    let request = Request::default();
    let call = Call {
        model: "m",
        request: &request,
        turns: &[Turn::text(Role::User, "x".repeat(prompt_bytes))],
        timeout: TIMEOUT,
        trace: None,
    };
    tokio::time::timeout(TIMEOUT, provider.call(&call))
        .await
        .expect("the call ends in time")
}
