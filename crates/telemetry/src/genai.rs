//! The names of the spans and metrics of calls of models.
//!
//! OpenTelemetry semantic conventions for generative AI, version [`CONVENTIONS`]: the span `gen_ai.client.inference` and its metrics.
//! The conventions are in development, so names may change with their next version. Only this module contains the names.
//!
//! Metrics have the spelling of Prometheus: dots become underscores, durations end with `_seconds` and counters with `_total`.
//! The conventions report the time to the first chunk of streamed answers only, and Forebay's calls do not stream. So the time to
//! the first byte has a name of Forebay's own.

/// The version of the conventions that these names follow: the repository `open-telemetry/semantic-conventions-genai`.
pub const CONVENTIONS: &str = "semantic-conventions-genai 0.1.0";

/// The operation: [`CHAT`] or [`GENERATE_CONTENT`].
pub const OPERATION: &str = "gen_ai.operation.name";
/// The operation of chat completions.
pub const CHAT: &str = "chat";
/// The operation of Gemini's `generateContent`.
pub const GENERATE_CONTENT: &str = "generate_content";
/// The service, see [`provider_name`].
pub const PROVIDER: &str = "gen_ai.provider.name";
/// The session.
pub const CONVERSATION: &str = "gen_ai.conversation.id";
/// The model that is asked for.
pub const REQUEST_MODEL: &str = "gen_ai.request.model";
/// The limit on the tokens of the reply.
pub const REQUEST_MAX_TOKENS: &str = "gen_ai.request.max_tokens";
/// The sampling temperature.
pub const REQUEST_TEMPERATURE: &str = "gen_ai.request.temperature";
/// The nucleus sampling probability.
pub const REQUEST_TOP_P: &str = "gen_ai.request.top_p";
/// The model that answered.
pub const RESPONSE_MODEL: &str = "gen_ai.response.model";
/// Why the model stopped, one reason for each reply.
pub const FINISH_REASONS: &str = "gen_ai.response.finish_reasons";
/// The tokens of the input, those from a cache included.
pub const INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
/// The tokens of the reply.
pub const OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
/// The tokens of the input that came from a cache.
pub const CACHED_INPUT_TOKENS: &str = "gen_ai.usage.cache_read.input_tokens";
/// The tokens of the reply's reasoning.
pub const REASONING_TOKENS: &str = "gen_ai.usage.reasoning.output_tokens";
/// What went wrong. Left out for a call that got an answer.
pub const ERROR_TYPE: &str = "error.type";
/// The value of [`ERROR_TYPE`] for errors without a value of their own.
pub const OTHER_ERROR: &str = "_OTHER";
/// The host of the service.
pub const SERVER_ADDRESS: &str = "server.address";
/// The port of the service.
pub const SERVER_PORT: &str = "server.port";

/// Metric: the duration of a call (`gen_ai.client.inference.duration`), in seconds.
pub const INFERENCE_DURATION_METRIC: &str = "gen_ai_client_inference_duration_seconds";
/// Metric: `gen_ai.client.inference.usage.input_tokens`. The text formats add `_total`.
pub const INPUT_TOKENS_METRIC: &str = "gen_ai_client_inference_usage_input_tokens";
/// Metric: `gen_ai.client.inference.usage.output_tokens`. The text formats add `_total`.
pub const OUTPUT_TOKENS_METRIC: &str = "gen_ai_client_inference_usage_output_tokens";
/// Metric: `gen_ai.client.inference.usage.cache_read.input_tokens`. The text formats add `_total`.
pub const CACHED_INPUT_TOKENS_METRIC: &str =
    "gen_ai_client_inference_usage_cache_read_input_tokens";
/// Metric: `gen_ai.client.inference.usage.reasoning.output_tokens`. The text formats add `_total`.
pub const REASONING_TOKENS_METRIC: &str = "gen_ai_client_inference_usage_reasoning_output_tokens";
/// Metric: the time to the first byte of an answer that is not streamed, in seconds. Not part of the conventions.
pub const FIRST_BYTE_DURATION_METRIC: &str = "forebay_call_first_byte_duration_seconds";
/// Label: [`OPERATION`].
pub const OPERATION_LABEL: &str = "gen_ai_operation_name";
/// Label: [`PROVIDER`].
pub const PROVIDER_LABEL: &str = "gen_ai_provider_name";
/// Label: [`REQUEST_MODEL`].
pub const REQUEST_MODEL_LABEL: &str = "gen_ai_request_model";
/// Label: [`ERROR_TYPE`]. Left out for a call that got an answer.
pub const ERROR_TYPE_LABEL: &str = "error_type";

/// The name of a service in the conventions. Only Gemini has another name there. A provider of the providers file keeps its name,
/// because that name does not tell which service it is.
#[must_use]
pub fn provider_name(configured: &str) -> &str {
    match configured {
        "gemini" => "gcp.gemini",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_have_the_names_of_the_conventions() {
        assert_eq!(provider_name("openai"), "openai");
        assert_eq!(provider_name("gemini"), "gcp.gemini");
        assert_eq!(provider_name("my-server"), "my-server");
    }

    #[test]
    fn labels_and_attributes_differ_only_in_their_spelling() {
        for (label, attribute) in [
            (OPERATION_LABEL, OPERATION),
            (PROVIDER_LABEL, PROVIDER),
            (REQUEST_MODEL_LABEL, REQUEST_MODEL),
            (ERROR_TYPE_LABEL, ERROR_TYPE),
        ] {
            assert_eq!(label, attribute.replace('.', "_"));
        }
    }
}
