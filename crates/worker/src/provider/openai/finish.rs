//! Reads the finish reason of a reply. An unknown reason is a failure, because the text may be incomplete.

use forebay_shared::job::FinishReason;

use crate::provider::Retry;

/// Why the model stopped. `reason` is empty if the service sends none.
///
/// # Errors
/// Whether a retry can help, if the model did not finish the reply or the reason is unknown.
pub(super) fn read(reason: &str, calls_tools: bool) -> Result<FinishReason, Retry> {
    match reason.to_ascii_lowercase().as_str() {
        "length"
        | "max_tokens"
        | "max_output_tokens"
        | "model_length"
        | "model_context_window_exceeded" => Ok(FinishReason::Length),
        "content_filter"
        | "content_filtered"
        | "safety"
        | "recitation"
        | "blocklist"
        | "prohibited_content"
        | "spii"
        | "refusal"
        | "sensitive"
        | "guardrail_intervened" => Ok(FinishReason::ContentFilter),
        // Some services return `stop` even when the reply calls tools.
        "" | "null" | "none" | "stop" | "stop_sequence" | "end_turn" | "eos" | "eos_token"
        | "complete" | "completed" | "tool_calls" | "tool_call" | "tool_use" | "function_call" => {
            Ok(if calls_tools {
                FinishReason::ToolCalls
            } else {
                FinishReason::Stop
            })
        }
        // DeepSeek sends `insufficient_system_resource` when it is overloaded.
        "insufficient_system_resource"
        | "error"
        | "abort"
        | "aborted"
        | "cancelled"
        | "canceled"
        | "network_error"
        | "timeout"
        | "failed"
        | "incomplete"
        | "malformed_function_call" => Err(Retry::Backoff),
        // No retry: the provider charges for each try, and each try would probably end with the same unknown reason.
        _ => Err(Retry::Never),
    }
}

#[cfg(test)]
mod tests {
    use forebay_shared::job::FinishReason::{ContentFilter, Length, Stop, ToolCalls};

    use super::read;
    use crate::provider::Retry::{Backoff, Never};

    #[test]
    fn each_finish_reason_has_its_result() {
        for (reason, calls_tools, expected) in [
            ("stop", false, Ok(Stop)),
            ("stop", true, Ok(ToolCalls)),
            ("tool_calls", true, Ok(ToolCalls)),
            ("tool_calls", false, Ok(Stop)),
            ("", false, Ok(Stop)),
            ("STOP", false, Ok(Stop)),
            ("end_turn", false, Ok(Stop)),
            ("eos", false, Ok(Stop)),
            ("MAX_TOKENS", false, Ok(Length)),
            ("length", true, Ok(Length)),
            ("content_filter", false, Ok(ContentFilter)),
            ("SAFETY", false, Ok(ContentFilter)),
            ("sensitive", false, Ok(ContentFilter)),
            ("insufficient_system_resource", false, Err(Backoff)),
            ("error", false, Err(Backoff)),
            ("error", true, Err(Backoff)),
            ("ERROR", false, Err(Backoff)),
            ("abort", false, Err(Backoff)),
            ("network_error", false, Err(Backoff)),
            ("something_new", false, Err(Never)),
            ("something_new", true, Err(Never)),
        ] {
            assert_eq!(
                read(reason, calls_tools),
                expected,
                "{reason} {calls_tools}"
            );
        }
    }
}
