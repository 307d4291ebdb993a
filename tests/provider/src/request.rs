//! A request to the scripted LLM. Its methods read both dialects.

use std::time::Instant;

use http::HeaderMap;
use serde_json::Value;

use super::seen;

/// The API that a request uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// OpenAI's chat completions.
    OpenAi,
    /// Gemini's native `generateContent`.
    Gemini,
}

/// One request for a reply.
#[derive(Clone, Debug)]
pub struct ChatRequest {
    /// The number of the request in the order of arrival, from 0.
    pub number: usize,
    /// The API that the request uses.
    pub dialect: Dialect,
    /// The path, without the query.
    pub path: String,
    /// The query, without its `?`.
    pub query: Option<String>,
    /// The name of the model.
    pub model: String,
    /// All headers.
    pub headers: HeaderMap,
    /// The body; `null` if it is not JSON.
    pub body: Value,
    /// When the server had read the last byte of the request.
    pub arrived_at: Instant,
}

/// A message of the context, with the fields that both dialects have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The role in the dialect's own word: `user`, `assistant`, `model`, `tool`.
    pub role: String,
    /// All text of the message, without images and calls.
    pub text: String,
}

impl ChatRequest {
    /// The messages in order, without Gemini's system instruction.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        self.each_message().collect()
    }

    /// The messages in order. Each is parsed on demand: a context can be long, and most callers need only its last
    /// messages.
    fn each_message(&self) -> impl DoubleEndedIterator<Item = Message> {
        let (list, content) = match self.dialect {
            Dialect::OpenAi => ("messages", "content"),
            Dialect::Gemini => ("contents", "parts"),
        };
        array(&self.body[list]).iter().map(move |message| Message {
            role: message["role"].as_str().unwrap_or_default().to_owned(),
            text: text_of(&message[content]),
        })
    }

    /// The text of the newest message that has the role `user` and a text; empty if there is none.
    #[must_use]
    pub fn last_user_text(&self) -> String {
        self.each_message()
            .rfind(|message| message.role == "user" && !message.text.is_empty())
            .map(|message| message.text)
            .unwrap_or_default()
    }

    /// The number of every `turn=<n>` in the context, in order.
    #[must_use]
    pub fn turn_numbers(&self) -> Vec<u64> {
        let messages = self.messages();
        seen::turn_numbers(messages.iter().map(|message| message.text.as_str()))
    }

    /// The value of a header, if the header is there and its value is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The API key, from the header that the dialect uses for it.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        match self.dialect {
            Dialect::OpenAi => self.header("authorization")?.strip_prefix("Bearer "),
            Dialect::Gemini => self.header("x-goog-api-key"),
        }
    }
}

/// The elements of an array; empty for any other value.
pub(super) fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect(),
        _ => String::new(),
    }
}
