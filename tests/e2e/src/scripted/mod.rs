//! A scripted LLM server: real HTTP on a free port of 127.0.0.1, in the test's own process.
//!
//! It speaks OpenAI's `POST /v1/chat/completions` and Gemini's native `POST
//! /v1beta/models/{model}:generateContent`, refuses what the real ones refuse ([`openai`],
//! [`gemini`]), records every request ([`Recorded`]), and answers by default with `seen:` and the
//! number of every `turn=<n>` in the context, so that a reply tells which turns it was made from.
//! Tests replace replies by rules and queues ([`ScriptedLlm::script`], [`ScriptedLlm::on`]) and hold
//! them back ([`ScriptedLlm::hold`]).
//!
//! What it leaves out: streaming, TLS, HTTP/2, and everything else of the real services.

mod connection;
mod gate;
mod log;
mod reply;
mod request;
mod script;
mod server;
mod wire;

pub mod gemini;
pub mod openai;
pub mod seen;

#[cfg(test)]
mod tests;

pub use gate::Gate;
pub use log::{Ending, Recorded, Stats};
pub use reply::{ProviderError, Reply, ScriptedCall};
pub use request::{ChatRequest, Dialect, Message};
pub use server::{Builder, Latency, ScriptedLlm};
