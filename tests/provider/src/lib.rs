//! A scripted HTTP server that replaces an LLM provider. It listens on a free port, in the test's own process.
//!
//! Two layers:
//! - [`http_server`]: a server over HTTP/1.1 and HTTP/2, with or without TLS. It gives each request to a handler. The
//!   handler answers the request, delays it, cuts its response off or resets it.
//! - [`ScriptedLlm`]: a handler that speaks OpenAI's `POST /v1/chat/completions` and Gemini's native `POST
//!   /v1beta/models/{model}:generateContent`. It refuses what the real services would refuse ([`openai`],
//!   [`gemini`]) and records every request ([`Recorded`]). Its default reply is `seen:` and the number of
//!   every `turn=<n>` in the context, so a reply shows which turns the request contained. Tests script
//!   other replies with rules and queues ([`ScriptedLlm::add_rule`], [`ScriptedLlm::queue_replies`]) and hold replies back
//!   ([`ScriptedLlm::gate_requests`]). A server can have rate limits ([`RateLimit`], [`RecordedCalls`]), and a test can take
//!   it offline for a time ([`ScriptedLlm::go_offline`]).
//!
//! The scripted LLM does not stream, and it serves no other paths of the real services.

mod answer;
mod capacity;
mod gate;
mod limit;
mod llm;
mod recorded_calls;
mod reply;
mod request;
mod request_log;
mod script;
mod state;
mod strict;

pub mod gemini;
pub mod http_server;
pub mod openai;
pub mod seen;

#[cfg(test)]
mod tests;

pub use gate::Gate;
pub use limit::{LimitHeaders, RateLimit};
pub use llm::{Builder, ScriptedLlm};
pub use recorded_calls::RecordedCalls;
pub use reply::{ProviderError, ScriptedCall, ScriptedReply};
pub use request::{ChatRequest, Dialect, Message};
pub use request_log::{Recorded, RequestOutcome, Stats};
pub use state::Latency;
