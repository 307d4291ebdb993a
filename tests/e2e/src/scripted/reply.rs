//! What the scripted server can be told to answer, faults of the wire among it.
//!
//! How a reply looks in each dialect is [`openai`](super::openai)'s and [`gemini`](super::gemini)'s
//! business; how a fault is done is `connection`'s.

use std::time::Duration;

use serde_json::Value;

/// An answer to one request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// The default: `seen:` and the numbers of the turns in the context.
    Seen,
    /// A text, ended by itself.
    Text(String),
    /// Calls of tools, without text.
    ToolCalls(Vec<ScriptedCall>),
    /// A reply that ended for this reason, in the dialect's own word (`length`, `content_filter`;
    /// `MAX_TOKENS`, `SAFETY`), with the text so far, if any.
    Finish {
        /// The dialect's own word.
        reason: String,
        /// The text so far.
        text: Option<String>,
    },
    /// One choice (or candidate) with nothing in it, ended by itself.
    EmptyChoice,
    /// 200 with no choice (or candidate) at all.
    NoChoices,
    /// An error in the dialect's own form.
    Error(ProviderError),
    /// Any JSON, as it is.
    Json {
        /// The HTTP status.
        status: u16,
        /// Headers beyond `content-type` and `content-length`.
        headers: Vec<(String, String)>,
        /// The body.
        body: Value,
    },
    /// Any status and body, as they are; no `content-type` of its own.
    Status {
        /// The HTTP status.
        code: u16,
        /// Headers beyond `content-length`.
        headers: Vec<(String, String)>,
        /// The body.
        body: String,
    },
    /// 200 with a body that is no JSON, complete by its length.
    InvalidJson,
    /// The connection is reset (RST) instead of an answer.
    Reset,
    /// Nothing comes, until the client hangs up.
    Stall,
    /// A good head and the first half of a good body, then nothing, until the client hangs up.
    StallInBody,
    /// A good head and the first half of a good body, then the connection is closed in order.
    CutOff,
    /// A good head, then a chunked body that goes on until the client hangs up.
    Endless {
        /// The size of each chunk.
        chunk_bytes: usize,
        /// The pause after each.
        pause: Duration,
    },
    /// Another reply, after this long instead of the server's latency.
    After(Duration, Box<Self>),
}

impl Reply {
    /// A text, ended by itself.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// One call of a tool.
    #[must_use]
    pub fn tool_call(name: &str, arguments: Value) -> Self {
        Self::ToolCalls(vec![ScriptedCall::new(name, arguments)])
    }

    /// A reply that ended for this reason, with the text so far.
    #[must_use]
    pub fn finish(reason: &str, text: Option<&str>) -> Self {
        Self::Finish {
            reason: reason.to_owned(),
            text: text.map(str::to_owned),
        }
    }

    /// JSON with a status and nothing else.
    #[must_use]
    pub fn json(status: u16, body: Value) -> Self {
        Self::Json {
            status,
            headers: Vec::new(),
            body,
        }
    }

    /// Gemini's 200 for a prompt that it blocks.
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

    /// This reply after this long, whatever the server's latency.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self::After(delay, Box::new(self))
    }
}

/// A call of a tool in a scripted reply.
#[derive(Clone, Debug, PartialEq)]
pub struct ScriptedCall {
    /// Its id. Without one, OpenAI's form gets one made up, Gemini's has none, as in its API.
    pub id: Option<String>,
    /// The function.
    pub name: String,
    /// Its arguments, an object.
    pub arguments: Value,
}

impl ScriptedCall {
    /// A call without an id of its own.
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
    /// OpenAI's `code`, or Gemini's `status` word; each has a default by the HTTP status.
    pub code: Option<String>,
    /// The sentence.
    pub message: String,
    /// Sent as the header `Retry-After`, in seconds.
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

    /// With a code of its own.
    #[must_use]
    pub fn with_code(mut self, code: &str) -> Self {
        self.code = Some(code.to_owned());
        self
    }

    /// With `Retry-After`.
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

    /// 429 that passes.
    #[must_use]
    pub fn rate_limited(retry_after_s: u64) -> Self {
        Self::new(429, "Rate limit reached.").with_retry_after_s(retry_after_s)
    }

    /// 429 that does not pass: OpenAI's exhausted quota.
    #[must_use]
    pub fn insufficient_quota() -> Self {
        Self::new(429, "You exceeded your current quota.").with_code("insufficient_quota")
    }

    /// 400: OpenAI's refusal of a context that is too long.
    #[must_use]
    pub fn context_length_exceeded() -> Self {
        let message = "This model's maximum context length is 4096 tokens.";
        Self::new(400, message).with_code("context_length_exceeded")
    }

    /// 500.
    #[must_use]
    pub fn server_error() -> Self {
        Self::new(500, "The server had an error.")
    }
}

impl From<ProviderError> for Reply {
    fn from(error: ProviderError) -> Self {
        Self::Error(error)
    }
}
