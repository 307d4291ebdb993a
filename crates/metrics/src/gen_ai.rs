//! The names of OpenTelemetry's semantic conventions for generative AI, in the spelling of Prometheus: dots become underscores,
//! durations end with `_seconds` and counters with `_total`.
//!
//! The version is [`CONVENTIONS`]. The conventions are in development: a later version may rename these, and only this file
//! then changes. The conventions report the time to the first chunk of streamed answers only, and Forebay's calls do not
//! stream. So the time to the first byte has a name of Forebay's own ([`FIRST_BYTE_DURATION`]).

/// The version of the conventions that these names follow: the repository `open-telemetry/semantic-conventions-genai`.
pub const CONVENTIONS: &str = "semantic-conventions-genai 0.1.0";

/// `gen_ai.client.inference.duration`, in seconds.
pub const INFERENCE_DURATION: &str = "gen_ai_client_inference_duration_seconds";
/// `gen_ai.client.inference.usage.input_tokens`. The text formats add `_total`.
pub const INPUT_TOKENS: &str = "gen_ai_client_inference_usage_input_tokens";
/// `gen_ai.client.inference.usage.output_tokens`. The text formats add `_total`.
pub const OUTPUT_TOKENS: &str = "gen_ai_client_inference_usage_output_tokens";
/// `gen_ai.client.inference.usage.cache_read.input_tokens`. The text formats add `_total`.
pub const CACHED_INPUT_TOKENS: &str = "gen_ai_client_inference_usage_cache_read_input_tokens";
/// `gen_ai.client.inference.usage.reasoning.output_tokens`. The text formats add `_total`.
pub const REASONING_TOKENS: &str = "gen_ai_client_inference_usage_reasoning_output_tokens";
/// The time to the first byte of an answer that is not streamed, in seconds. Not part of the conventions.
pub const FIRST_BYTE_DURATION: &str = "forebay_call_first_byte_duration_seconds";

/// `gen_ai.operation.name`.
pub const OPERATION_NAME: &str = "gen_ai_operation_name";
/// `gen_ai.provider.name`.
pub const PROVIDER_NAME: &str = "gen_ai_provider_name";
/// `gen_ai.request.model`.
pub const REQUEST_MODEL: &str = "gen_ai_request_model";
/// `error.type`. Left out for a call that got an answer.
pub const ERROR_TYPE: &str = "error_type";

/// The value of `error.type` for errors without a value of their own.
pub const OTHER_ERROR: &str = "_OTHER";

/// The provider's name in the conventions: the well-known value for a built-in provider, and otherwise the name in the
/// providers file.
#[must_use]
pub fn provider_name(configured: &str) -> &str {
    match configured {
        "gemini" => "gcp.gemini",
        other => other,
    }
}
