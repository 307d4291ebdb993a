//! The names of a span that calls a model.
//!
//! OpenTelemetry semantic conventions for generative AI, version 0.1.0: the span `gen_ai.client.inference`. The conventions are in
//! development, so names may change with their next version. Only this module contains them.

/// What is done.
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
/// The host of the service.
pub const SERVER_ADDRESS: &str = "server.address";
/// The port of the service.
pub const SERVER_PORT: &str = "server.port";

/// The name of a service in the conventions. A service that they do not list keeps the name of its settings.
#[must_use]
pub fn provider_name(configured: &str) -> &str {
    match configured {
        "gemini" => "gcp.gemini",
        "vertex" | "vertex_ai" => "gcp.vertex_ai",
        "mistral" => "mistral_ai",
        "xai" | "grok" => "x_ai",
        "bedrock" => "aws.bedrock",
        "azure" | "azure_openai" => "azure.ai.openai",
        "watsonx" => "ibm.watsonx.ai",
        "moonshot" => "moonshot_ai",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::provider_name;

    #[test]
    fn providers_have_the_names_of_the_conventions() {
        assert_eq!(provider_name("openai"), "openai");
        assert_eq!(provider_name("gemini"), "gcp.gemini");
        assert_eq!(provider_name("my-server"), "my-server");
    }
}
