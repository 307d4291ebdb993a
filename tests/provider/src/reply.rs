//! The replies that a test can script, faults of the connection included.
//!
//! [`openai`](super::openai) and [`gemini`](super::gemini) write a reply in their dialect, and `answer` sends it.

use std::time::Duration;

use serde_json::Value;

/// An answer to one request.
#[derive(Clone, Debug)]
pub enum ScriptedReply {
    /// The default: `seen:` and the number of every turn in the context.
    TurnNumbers,
    /// A text that ended normally.
    Text(String),
    /// Tool calls without text.
    ToolCalls(Vec<ScriptedCall>),
    /// A reply that ended early.
    Finish {
        /// The reason in the dialect's own word, such as OpenAI's `length` or Gemini's `MAX_TOKENS`.
        reason: String,
        /// The text so far, if there is any.
        text: Option<String>,
    },
    /// One choice (Gemini: candidate) that ended normally and has no content.
    EmptyChoice,
    /// 200 without any choice (Gemini: candidate).
    NoChoices,
    /// An error in the format of the dialect.
    Error(ProviderError),
    /// A JSON body with any status.
    Json {
        /// The HTTP status.
        status: u16,
        /// The headers besides `content-type` and `content-length`.
        headers: Vec<(String, String)>,
        /// The body.
        body: Value,
    },
    /// Any status and body, without a `content-type`.
    Status {
        /// The HTTP status.
        code: u16,
        /// The headers besides `content-length`.
        headers: Vec<(String, String)>,
        /// The body.
        body: String,
    },
    /// 200 with a complete body that is not JSON.
    InvalidJson,
    /// A reset instead of a response: of the connection (HTTP/1.1) or of the stream (HTTP/2).
    Reset,
    /// No response until the client disconnects.
    Stall,
    /// The head and the first half of a valid response, then nothing until the client disconnects.
    StallInBody,
    /// The head and the first half of a valid response, then an orderly end of the connection (HTTP/1.1) or a reset of the
    /// stream (HTTP/2).
    CutOff,
    /// A valid head, then a body that goes on until the client disconnects.
    Endless {
        /// The size of each chunk.
        chunk_bytes: usize,
        /// The pause after each chunk.
        pause: Duration,
    },
    /// Another reply, with this latency instead of the server's.
    After(Duration, Box<Self>),
}

impl ScriptedReply {
    /// A text that ended normally.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// One tool call.
    #[must_use]
    pub fn tool_call(name: &str, arguments: Value) -> Self {
        Self::ToolCalls(vec![ScriptedCall::new(name, arguments)])
    }

    /// A reply that ended early for this reason, with the text so far.
    #[must_use]
    pub fn finish(reason: &str, text: Option<&str>) -> Self {
        Self::Finish {
            reason: reason.to_owned(),
            text: text.map(str::to_owned),
        }
    }

    /// JSON with a status and no further headers.
    #[must_use]
    pub fn json(status: u16, body: Value) -> Self {
        Self::Json {
            status,
            headers: Vec::new(),
            body,
        }
    }

    /// Gemini's 200 for a blocked prompt.
    #[must_use]
    pub fn gemini_blocked(reason: &str) -> Self {
        let body = serde_json::json!({
            "promptFeedback": { "blockReason": reason },
            "usageMetadata": { "promptTokenCount": 5, "totalTokenCount": 5 },
        });
        Self::json(200, body)
    }

    /// An endless body of 1 KiB every 10 ms.
    #[must_use]
    pub fn endless() -> Self {
        Self::Endless {
            chunk_bytes: 1_024,
            pause: Duration::from_millis(10),
        }
    }

    /// This reply, with a latency of `delay` instead of the server's.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self::After(delay, Box::new(self))
    }
}

/// A tool call in a scripted reply.
#[derive(Clone, Debug, PartialEq)]
pub struct ScriptedCall {
    /// The id of the call. If it is `None`, the OpenAI dialect generates an id and the Gemini dialect sends none, as
    /// the real services do.
    pub id: Option<String>,
    /// The name of the function.
    pub name: String,
    /// The arguments, a JSON object.
    pub arguments: Value,
}

impl ScriptedCall {
    /// A call with the id `None`.
    #[must_use]
    pub fn new(name: &str, arguments: Value) -> Self {
        Self {
            id: None,
            name: name.to_owned(),
            arguments,
        }
    }
}

/// An error as a provider reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderError {
    /// The HTTP status.
    pub status: u16,
    /// OpenAI's `code`, or Gemini's `status`. If it is `None`, the HTTP status determines it.
    pub code: Option<String>,
    /// The message.
    pub message: String,
    /// The value of the header `Retry-After`, in seconds.
    pub retry_after_s: Option<u64>,
}

impl ProviderError {
    /// An error with the dialect's usual code for this status.
    #[must_use]
    pub fn new(status: u16, message: &str) -> Self {
        Self {
            status,
            code: None,
            message: message.to_owned(),
            retry_after_s: None,
        }
    }

    /// Sets the code.
    #[must_use]
    pub fn with_code(mut self, code: &str) -> Self {
        self.code = Some(code.to_owned());
        self
    }

    /// Sets the header `Retry-After`.
    #[must_use]
    pub fn with_retry_after_s(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// 401: the key is wrong.
    #[must_use]
    pub fn unauthorized() -> Self {
        Self::new(401, "Incorrect API key provided.").with_code("invalid_api_key")
    }

    /// 429: the rate limit is reached, and a later retry succeeds.
    #[must_use]
    pub fn rate_limited(retry_after_s: u64) -> Self {
        Self::new(429, "Rate limit reached.").with_retry_after_s(retry_after_s)
    }

    /// 429: OpenAI's quota is exhausted, so no retry succeeds.
    #[must_use]
    pub fn insufficient_quota() -> Self {
        Self::new(429, "You exceeded your current quota.").with_code("insufficient_quota")
    }

    /// 400: OpenAI refuses a context that is too long.
    #[must_use]
    pub fn context_length_exceeded() -> Self {
        let message = "This model's maximum context length is 4096 tokens.";
        Self::new(400, message).with_code("context_length_exceeded")
    }

    /// 500: an error of the server.
    #[must_use]
    pub fn server_error() -> Self {
        Self::new(500, "The server had an error.")
    }
}

impl From<ProviderError> for ScriptedReply {
    fn from(error: ProviderError) -> Self {
        Self::Error(error)
    }
}
