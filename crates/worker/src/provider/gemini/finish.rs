//! Reads the finish reason of a reply. A reason that is not known is no success: the text may end anywhere.

use forebay_shared::job::FinishReason;

use crate::provider::{
    Failure, Retry,
    unfinished::{shortened, unfinished},
};

/// Why the model stopped. An empty `reason` stands for none. `message` is Gemini's explanation.
///
/// # Errors
/// The failure of a reply that is not finished.
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
        // Each try would be paid, and a reason of a newer API would be the same each time.
        _ => Err(unfinished(&explained, Retry::Never)),
    }
}
