//! A server that refuses an input that does not fit into its context, with the message of a real service.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use scripted_provider::{ChatRequest, ScriptedReply};
use serde_json::{Value, json};

use super::tokens::{self, Tokenizer};

/// The service whose error messages a server uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Wording {
    OpenAi,
    Bedrock,
    LlamaCpp,
    LlamaCppPython,
    Tgi,
    LiteLlm,
    Vllm,
    Ollama,
}

const WORDINGS: [Wording; 8] = [
    Wording::OpenAi,
    Wording::Bedrock,
    Wording::LlamaCpp,
    Wording::LlamaCppPython,
    Wording::Tgi,
    Wording::LiteLlm,
    Wording::Vllm,
    Wording::Ollama,
];

/// One kind of server. The name of its model shows the kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ServerKind {
    pub(super) wording: Wording,
    /// The most tokens of the input and the reply together.
    pub(super) limit_tokens: u64,
    /// The most tokens of a reply, if the chat sets a limit.
    pub(super) max_output_tokens: Option<u32>,
    /// How the server counts tokens.
    tokenizer: Tokenizer,
    /// Whether the server is an older release. Its refusals have the older message and status of the service, and its replies
    /// have no usage.
    pub(super) is_old: bool,
}

impl ServerKind {
    /// All kinds of servers: four for each wording, with different limits, ages and tokenizers.
    pub(super) fn all() -> Vec<Self> {
        let kinds = WORDINGS.iter().flat_map(|wording| {
            [
                (1_024, false, Tokenizer::Pieces),
                (1_024, true, Tokenizer::Characters),
                (2_048, true, Tokenizer::Pieces),
                (4_096, false, Tokenizer::Characters),
            ]
            .map(|(limit_tokens, is_old, tokenizer)| Self {
                wording: *wording,
                limit_tokens,
                max_output_tokens: (!is_old).then_some(64),
                tokenizer,
                is_old,
            })
        });
        kinds.collect()
    }

    /// The name of the model.
    pub(super) fn model(&self) -> String {
        let age = if self.is_old { "old" } else { "new" };
        format!(
            "{:?}-{}-{:?}-{age}",
            self.wording, self.limit_tokens, self.tokenizer
        )
    }

    /// The refusal of an input of this many tokens.
    fn refusal(&self, input: u64) -> (u16, Value) {
        let limit = self.limit_tokens;
        let output = u64::from(self.max_output_tokens.unwrap_or(0));
        let total = input + output;
        let excess = total.saturating_sub(limit).max(1);
        let in_error = |message: String| json!({"error": {"message": message, "type": "invalid_request_error", "code": null}});
        let (status, body) = match (self.wording, self.is_old) {
            (Wording::OpenAi, false) => (
                400,
                json!({"error": {
                    "message": format!("This model's maximum context length is {limit} tokens. However, you requested {total} tokens ({input} in the messages, {output} in the completion). Please reduce the length of the messages or completion."),
                    "type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded"
                }}),
            ),
            (Wording::OpenAi, true) => (
                400,
                in_error(String::from(
                    "Your input exceeds the context window of this model. Please adjust your input and try again.",
                )),
            ),
            (Wording::Bedrock, false) => (
                400,
                json!({"message": format!("The model returned the following errors: prompt is too long: {total} tokens > {limit} maximum")}),
            ),
            (Wording::Bedrock, true) => (
                400,
                json!({"message": "Input is too long for requested model."}),
            ),
            (Wording::LlamaCpp, false) => (
                400,
                json!({"error": {
                    "code": 400, "message": format!("request ({input} tokens) exceeds the available context size ({limit} tokens), try increasing it"),
                    "type": "exceed_context_size_error", "n_prompt_tokens": input, "n_ctx": limit
                }}),
            ),
            (Wording::LlamaCpp, true) => (
                500,
                json!({"error": {
                    "code": 500, "message": "the request exceeds the available context size. try increasing the context size or enable context shift",
                    "type": "server_error"
                }}),
            ),
            (Wording::LlamaCppPython, false) => (
                400,
                in_error(format!(
                    "This model's maximum context length is {limit} tokens. However, you requested {total} tokens ({input} in the messages, {output} in the completion). Please reduce the length of the messages or completion."
                )),
            ),
            (Wording::LlamaCppPython, true) => (
                500,
                json!({"error": {
                    "message": format!("Requested tokens ({input}) exceed context window of {limit}"),
                    "type": "internal_server_error", "param": null, "code": null
                }}),
            ),
            (Wording::Tgi, false) => (
                422,
                json!({
                    "error": format!("Input validation error: `inputs` tokens + `max_new_tokens` must be <= {limit}. Given: {input} `inputs` tokens and {output} `max_new_tokens`"),
                    "error_type": "validation"
                }),
            ),
            (Wording::Tgi, true) => (
                422,
                json!({
                    "error": format!("Input validation error: `inputs` must have less than {limit} tokens. Given: {input}"),
                    "error_type": "validation"
                }),
            ),
            (Wording::LiteLlm, false) => (
                400,
                json!({"error": {
                    "message": format!("litellm.ContextWindowExceededError: AnthropicError - {{\"type\":\"error\",\"error\":{{\"type\":\"invalid_request_error\",\"message\":\"prompt is too long: {total} tokens > {limit} maximum\"}}}}. Received Model Group=m"),
                    "type": null, "param": null, "code": "400"
                }}),
            ),
            (Wording::LiteLlm, true) => (
                500,
                json!({"error": {
                    "message": "litellm.ContextWindowExceededError: BedrockException: Context Window Error - Input is too long for requested model.",
                    "type": null, "param": null, "code": "500"
                }}),
            ),
            (Wording::Vllm, false) => (
                400,
                json!({
                    "object": "error", "type": "BadRequestError", "param": null, "code": 400,
                    "message": format!("You passed {input} input tokens and requested {output} output tokens. However, the model's context length is only {limit} tokens, resulting in a maximum input length of {} tokens. Please reduce the length of the input prompt.", limit - output)
                }),
            ),
            (Wording::Vllm, true) => (
                400,
                json!({
                    "object": "error", "type": "BadRequestError", "param": null, "code": 400,
                    "message": format!("max_tokens must be at least 1, got -{excess}.")
                }),
            ),
            (Wording::Ollama, false) => (
                400,
                in_error(format!(
                    "prompt too long; exceeded max context length by {excess} tokens"
                )),
            ),
            (Wording::Ollama, true) => (
                500,
                json!({"error": {"message": "the input length exceeds the context length", "type": "api_error"}}),
            ),
        };
        (status, body)
    }
}

/// One call to a model.
#[derive(Clone, Copy, Debug)]
pub(super) struct CountedCall {
    pub(super) input_tokens: u64,
    pub(super) is_refused: bool,
}

/// The servers of all kinds, behind one address.
#[derive(Clone, Default)]
pub(super) struct Server {
    calls: Arc<Mutex<HashMap<String, Vec<CountedCall>>>>,
}

impl Server {
    /// All calls to the model of this kind of server, in the order of arrival.
    pub(super) fn calls(&self, kind: ServerKind) -> Vec<CountedCall> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.get(&kind.model()).cloned().unwrap_or_default()
    }

    pub(super) fn refused_calls(&self, kind: ServerKind) -> usize {
        let calls = self.calls(kind);
        calls.iter().filter(|call| call.is_refused).count()
    }

    /// The reply to a request.
    pub(super) fn reply(&self, request: &ChatRequest) -> ScriptedReply {
        let kinds = ServerKind::all();
        let kind = kinds.iter().find(|kind| kind.model() == request.model);
        let kind = kind.expect("the model belongs to a kind of server");
        let input_tokens = kind.tokenizer.count(&request.body);
        let output_tokens = request.body["max_tokens"].as_u64().unwrap_or(1);
        let is_refused = input_tokens + output_tokens > kind.limit_tokens;
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls.entry(kind.model()).or_default().push(CountedCall {
            input_tokens,
            is_refused,
        });
        if is_refused {
            let (status, body) = kind.refusal(input_tokens);
            return ScriptedReply::json(status, body);
        }
        let mut body = completion(request);
        if !kind.is_old {
            body["usage"] = json!({"prompt_tokens": input_tokens, "completion_tokens": 9, "total_tokens": input_tokens + 9});
        }
        ScriptedReply::json(200, body)
    }
}

/// A reply that calls no tool, one tool or two tools, according to the number of the round.
fn completion(request: &ChatRequest) -> Value {
    let messages = request.messages();
    let last = messages.last().expect("the request has messages");
    let round = last
        .text
        .strip_prefix("round ")
        .and_then(|text| text.split(':').next());
    let round: Option<usize> = round.and_then(|number| number.parse().ok());
    let call_count = match round {
        Some(round) if round % 6 == 0 => 2,
        Some(round) if round % 3 == 0 => 1,
        _ => 0,
    };
    let (message, finish_reason) = if call_count == 0 {
        let text = tokens::prose(20 + request.number * 11 % 50);
        (json!({"role": "assistant", "content": text}), "stop")
    } else {
        let calls: Vec<Value> = (0..call_count)
            .map(|index| {
                json!({
                    "id": format!("call_{}_{index}", request.number),
                    "type": "function",
                    "function": {"name": "tide_table", "arguments": "{\"harbour\": \"Hull\"}"},
                })
            })
            .collect();
        (
            json!({"role": "assistant", "content": null, "tool_calls": calls}),
            "tool_calls",
        )
    };
    json!({
        "id": "r",
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason}],
    })
}
