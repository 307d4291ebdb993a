//! A request as the scripted server received it, readable alike in both dialects.

use std::time::Instant;

use http::HeaderMap;
use serde_json::Value;

use super::seen;

/// Which API a request came by.
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
    /// Counts from 0, in the order of arrival.
    pub n: usize,
    /// Which API it came by.
    pub dialect: Dialect,
    /// The path, without the query.
    pub path: String,
    /// The query, without its `?`.
    pub query: Option<String>,
    /// The model asked for.
    pub model: String,
    /// All headers as they came.
    pub headers: HeaderMap,
    /// The body; `null` if it was no JSON.
    pub body: Value,
    /// When its last byte had been read.
    pub arrived_at: Instant,
}

/// A message of the context, reduced to what both dialects have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The dialect's own word: `user`, `assistant`, `model`, `tool`, ….
    pub role: String,
    /// All its text, images and calls left out.
    pub text: String,
}

impl ChatRequest {
    /// The messages in order; Gemini's system instruction is not among them.
    #[must_use]
    pub fn messages(&self) -> Vec<Message> {
        self.each_message().collect()
    }

    /// The messages in order, each only read when it is asked for: a context may be long, and mostly its end
    /// is looked at.
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

    /// The text of the newest message of role `user` that has any; empty if there is none.
    #[must_use]
    pub fn last_user_text(&self) -> String {
        self.each_message()
            .rfind(|message| message.role == "user" && !message.text.is_empty())
            .map(|message| message.text)
            .unwrap_or_default()
    }

    /// The number of every `turn=<n>` in the context, in order.
    #[must_use]
    pub fn seen(&self) -> Vec<u64> {
        let messages = self.messages();
        seen::turn_numbers(messages.iter().map(|message| message.text.as_str()))
    }

    /// A header's value, if it is there and is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The key that the client showed, in the dialect's own header.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        match self.dialect {
            Dialect::OpenAi => self.header("authorization")?.strip_prefix("Bearer "),
            Dialect::Gemini => self.header("x-goog-api-key"),
        }
    }
}

/// The elements of an array; none of anything else.
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
