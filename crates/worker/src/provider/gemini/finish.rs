//! Reads the finish reason of a reply. An unknown reason is a failure, because the text may be incomplete.

use forebay_shared::job::FinishReason;

use crate::provider::{
    Failure, Retry,
    unfinished::{shortened, unfinished},
};

/// Why the model stopped. `reason` is the name of the reason or its number in Google's enum. It is empty if there is none.
/// `message` is Gemini's explanation of the reason.
///
/// # Errors
/// `invalid_response` if the answer is not usable. `provider_error` if the model did not finish the reply, or if the
/// reason is unknown.
pub(super) fn read(
    reason: &str,
    message: Option<&str>,
    calls_tools: bool,
) -> Result<FinishReason, Failure> {
    let explained = match message {
        Some(message) => format!("{}: {message}", shortened(reason)),
        None => shortened(reason),
    };
    // Numbers above 5 mean other reasons in the Gemini API than in Vertex AI, so they count as unknown.
    match reason.to_ascii_uppercase().as_str() {
        "MAX_TOKENS" | "2" => Ok(FinishReason::Length),
        "SAFETY"
        | "3"
        | "RECITATION"
        | "4"
        | "LANGUAGE"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "MODEL_ARMOR"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION" => Ok(FinishReason::ContentFilter),
        "MALFORMED_FUNCTION_CALL"
        | "UNEXPECTED_TOOL_CALL"
        | "TOO_MANY_TOOL_CALLS"
        | "MISSING_THOUGHT_SIGNATURE"
        | "MALFORMED_RESPONSE" => Err(Failure::new(
            "invalid_response",
            format!("Gemini stopped without a usable answer: {explained}"),
            Retry::Backoff,
        )),
        "" | "STOP" | "1" | "FINISH_REASON_UNSPECIFIED" | "0" => Ok(if calls_tools {
            FinishReason::ToolCalls
        } else {
            FinishReason::Stop
        }),
        "OTHER" | "5" => Err(unfinished(&explained, Retry::Backoff)),
        // No retry: the provider charges for each try, and each try would probably end with the same unknown reason.
        _ => Err(unfinished(&explained, Retry::Never)),
    }
}
