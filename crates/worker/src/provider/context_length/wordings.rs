//! The phrases with which services refuse a context as too long. Pure functions.

use super::{template, tokens::ContextTokens};

/// The phrases of an error about the length of the context, in the form that [`normalized`] returns. Services change their
/// messages between releases and copy the messages of other services. So every phrase is looked for in every message.
const REFUSALS: &[&str] = &[
    // OpenAI and services that copy its messages: vLLM, llama-cpp-python's server, DeepSeek, OpenRouter.
    "maximum context length is {limit}",
    "maximum context length",
    "context_length_exceeded",
    "context length exceeded",
    "exceeds the context window",
    "input tokens exceed the configured limit of {limit} tokens",
    // vLLM.
    "you passed {input} input tokens and requested {output} output tokens. however, the models context length is only {limit}",
    "prompt (length {input}) is longer than the maximum model length of {limit}",
    "input length ({input}) exceeds models maximum context length ({limit})",
    "max_tokens must be at least 1, got -{excess}",
    // vLLM, xAI.
    "maximum prompt length is {limit}",
    // Bedrock and Anthropic.
    "prompt is too long: {input} tokens > {limit} maximum",
    "prompt is too long",
    "input length and max_tokens exceed context limit: {input} + {output} > {limit}",
    "input is too long for requested model",
    "too many input tokens. max input tokens: {limit}, request input token count: {input}",
    // llama.cpp.
    "request ({input} tokens) exceeds the available context size ({limit} tokens)",
    "exceeds the available context size",
    "context size has been exceeded",
    // llama-cpp-python.
    "requested tokens ({input}) exceed context window of {limit}",
    "requested tokens exceed context window of {limit}",
    // TGI.
    "inputs tokens + max_new_tokens must be <= {limit}. given: {input} inputs tokens and {output} max_new_tokens",
    "inputs must have less than {limit} tokens. given: {input}",
    // LiteLLM, before the message of the service that it called.
    "contextwindowexceedederror",
    // Ollama.
    "prompt too long; exceeded max context length by {excess} tokens",
    "exceeded max context length",
    "input length exceeds the context length",
    // SGLang, Together, Fireworks.
    "models maximum context length of {limit} tokens",
    "input ({input} tokens) is longer than the models context length ({limit} tokens)",
    "prompt is too long: {input}, model maximum context length: {limit}",
    // LM Studio.
    "context length of only {limit} tokens",
    "greater than the context length",
    // Gemini and Vertex AI.
    "input token count ({input}) exceeds the maximum number of tokens allowed ({limit})",
    "input token count exceeds the maximum number of tokens allowed ({limit})",
    "input token count is {input} but model only supports up to {limit}",
    // Moonshot, Groq.
    "exceeded model token limit: {limit} (requested: {input})",
    "reduce the length of the messages",
];

/// More counts in a message that has one of the [`REFUSALS`].
const COUNTS: &[&str] = &[
    "you requested {total} tokens",
    "you requested about {total} tokens",
    "you requested a total of {total} tokens",
    "({input} in the messages",
    "({input} in your prompt",
    ", {output} in the completion",
    "and {output} in the completion",
    "; {output} for the completion",
    "messages resulted in {input} tokens",
    "request has {input} ",
    "request contains {input} tokens",
    "you requested {output} output tokens and your prompt contains at least {input} input tokens",
    ": {input} tokens from the input messages and {output} tokens for the completion",
    "prompt contains {input} tokens",
    "too large for model with {limit} maximum context length",
    // Fields of an error that a proxy quotes in its own message.
    "n_prompt_tokens:{input}",
    "n_prompt_tokens: {input}",
    "n_ctx:{limit}",
    "n_ctx: {limit}",
];

/// The counts in a provider's message about the length of the context. `None`: the message is about something else.
pub(super) fn read(message: &str) -> Option<ContextTokens> {
    let message = normalized(message);
    let refusals = REFUSALS
        .iter()
        .filter_map(|wording| template::read(wording, &message))
        .reduce(ContextTokens::or)?;
    let counts = COUNTS
        .iter()
        .filter_map(|wording| template::read(wording, &message));
    Some(counts.fold(refusals, ContextTokens::or))
}

/// The message in lower case, without quotation marks and escapes, and with single spaces. So a phrase is also found if a
/// proxy quotes the message, or quotes JSON that contains the message.
fn normalized(message: &str) -> String {
    let is_quotation = |c: char| matches!(c, '"' | '\'' | '`' | '\\');
    let unquoted: String = message
        .to_lowercase()
        .chars()
        .filter(|c| !is_quotation(*c))
        .collect();
    let words: Vec<&str> = unquoted.split_whitespace().collect();
    words.join(" ")
}

#[cfg(test)]
mod tests;
