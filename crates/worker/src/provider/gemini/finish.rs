//! Reads the finish reason of a reply. An unknown reason is a failure, because the text may be incomplete.

use forebay_shared::job::FinishReason;

use crate::provider::{
    Failure, Retry,
    unfinished::{shortened, unfinished},
};

/// Why the model stopped. An empty `reason` stands for none. `message` is Gemini's explanation.
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
    match reason {
        "MAX_TOKENS" => Ok(FinishReason::Length),
        "SAFETY"
        | "RECITATION"
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
        "" | "STOP" | "FINISH_REASON_UNSPECIFIED" if calls_tools => Ok(FinishReason::ToolCalls),
        "" | "STOP" | "FINISH_REASON_UNSPECIFIED" => Ok(FinishReason::Stop),
        "OTHER" => Err(unfinished(&explained, Retry::Backoff)),
        // No retry: the provider charges for each try, and a reason that this release does not know would come back each
        // time.
        _ => Err(unfinished(&explained, Retry::Never)),
    }
}
