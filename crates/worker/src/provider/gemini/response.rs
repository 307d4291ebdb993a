//! Reads an answer in Gemini's form. `parts` reads the parts of its content.

use forebay_shared::{
    document::UnknownFields,
    job::{FinishReason, Usage},
    turn::{Role, Turn},
};
use serde::Deserialize;
use serde_json::Value;

use super::{
    error,
    parts::{self, ReplyParts, WirePart},
};
use crate::provider::{Answer, Failure, Retry, json_body, tool_call_id};

/// The most characters of a reason that an error message shows.
const REASON_CHARS_MAX: usize = 60;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    error: Option<Value>,
    candidates: Option<Vec<Candidate>>,
    prompt_feedback: Option<PromptFeedback>,
    usage_metadata: Option<UsageMetadata>,
    response_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PromptFeedback {
    block_reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Candidate {
    content: Option<WireContent>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct WireContent {
    parts: Option<Vec<WirePart>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct UsageMetadata {
    prompt_token_count: u64,
    tool_use_prompt_token_count: u64,
    candidates_token_count: u64,
    thoughts_token_count: u64,
    total_token_count: Option<u64>,
}

/// Reads the body of an answer whose status is 2xx.
///
/// `turns` are the turns that were sent; missing ids of tool calls are derived from them.
///
/// # Errors
/// A [`Failure`] when the body holds an error or no reply.
pub(super) fn read(body: &[u8], turns: &[Turn]) -> Result<Answer, Failure> {
    let body: Body = json_body::read(body)?;
    if let Some(error) = body.error.filter(|error| !error.is_null()) {
        return Err(error::classify_within_success(&error));
    }
    let block_reason = body
        .prompt_feedback
        .and_then(|feedback| feedback.block_reason);
    let Some(candidate) = body.candidates.unwrap_or_default().into_iter().next() else {
        return Err(match block_reason {
            Some(reason) => Failure::new(
                "content_blocked",
                format!("Gemini refused the prompt: {}", shortened(&reason)),
                Retry::Never,
            ),
            None => empty("Gemini's answer has no candidates"),
        });
    };
    let parts = candidate.content.and_then(|content| content.parts);
    let ReplyParts {
        content,
        extra_content,
        tool_calls,
    } = parts::read(parts.unwrap_or_default(), |index| {
        tool_call_id::generate(turns, body.response_id.as_deref(), index)
    })?;
    let finish_reason = finish_reason(candidate.finish_reason.as_deref(), !tool_calls.is_empty())?;
    let has_no_text = content
        .as_ref()
        .is_none_or(|content| content.to_text().is_empty());
    if has_no_text && tool_calls.is_empty() && finish_reason == FinishReason::Stop {
        return Err(empty("Gemini's answer has neither text nor tool calls"));
    }
    Ok(Answer {
        turn: Turn {
            role: Role::Assistant,
            content,
            name: None,
            tool_calls,
            tool_call_id: None,
            extra_content,
            unknown: UnknownFields::NONE,
        },
        finish_reason,
        usage: body.usage_metadata.as_ref().map(usage),
    })
}

fn finish_reason(reason: Option<&str>, calls_tools: bool) -> Result<FinishReason, Failure> {
    match reason {
        Some("MAX_TOKENS") => Ok(FinishReason::Length),
        Some(
            "SAFETY"
            | "RECITATION"
            | "LANGUAGE"
            | "BLOCKLIST"
            | "PROHIBITED_CONTENT"
            | "SPII"
            | "IMAGE_SAFETY"
            | "IMAGE_PROHIBITED_CONTENT"
            | "IMAGE_RECITATION",
        ) => Ok(FinishReason::ContentFilter),
        Some(
            reason @ ("MALFORMED_FUNCTION_CALL"
            | "UNEXPECTED_TOOL_CALL"
            | "TOO_MANY_TOOL_CALLS"
            | "MISSING_THOUGHT_SIGNATURE"
            | "MALFORMED_RESPONSE"),
        ) => Err(Failure::new(
            "invalid_response",
            format!("Gemini stopped without a usable answer: {reason}"),
            Retry::Backoff,
        )),
        _ if calls_tools => Ok(FinishReason::ToolCalls),
        _ => Ok(FinishReason::Stop),
    }
}

fn usage(usage: &UsageMetadata) -> Usage {
    let input_tokens = usage
        .prompt_token_count
        .saturating_add(usage.tool_use_prompt_token_count);
    // Thoughts are billed as output.
    let output_tokens = usage
        .candidates_token_count
        .saturating_add(usage.thoughts_token_count);
    Usage {
        input_tokens,
        output_tokens,
        total_tokens: usage
            .total_token_count
            .unwrap_or_else(|| input_tokens.saturating_add(output_tokens)),
        unknown: UnknownFields::NONE,
    }
}

/// A reason from the provider, shortened for an error message.
fn shortened(reason: &str) -> String {
    reason.chars().take(REASON_CHARS_MAX).collect()
}

fn empty(message: &str) -> Failure {
    Failure::new("empty_response", message, Retry::Backoff)
}

#[cfg(test)]
mod tests {
    use forebay_shared::job::FinishReason;
    use serde_json::{Value, json};

    use super::read;
    use crate::provider::{Answer, Failure, Retry, gemini::contents};

    fn answer(body: &Value) -> Result<Answer, Failure> {
        read(body.to_string().as_bytes(), &[])
    }

    fn candidate(parts: &Value, finish_reason: &str) -> Value {
        json!({"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": finish_reason}]})
    }

    #[test]
    fn a_text_with_its_usage() {
        let parts =
            json!([{"text": "let me think", "thought": true}, {"text": "a"}, {"text": "b"}]);
        let mut body = candidate(&parts, "STOP");
        body["usageMetadata"] = json!({"promptTokenCount": 3, "candidatesTokenCount": 2, "thoughtsTokenCount": 5, "totalTokenCount": 10});
        let answer = answer(&body).expect("an answer");
        assert_eq!(answer.text().as_deref(), Some("ab"));
        assert_eq!(answer.finish_reason, FinishReason::Stop);
        let usage = answer.usage.expect("usage");
        assert_eq!(
            (usage.input_tokens, usage.output_tokens, usage.total_tokens),
            (3, 7, 10)
        );
    }

    #[test]
    fn signatures_are_sent_back_on_the_same_parts() {
        for parts in [
            json!([{"text": "a", "thoughtSignature": "S"}]),
            json!([{"text": "", "thoughtSignature": "S"}, {"functionCall": {"id": "x", "name": "f", "args": {}}}]),
            json!([{"text": "a"}, {"text": "", "thoughtSignature": "S"}]),
            json!([{"text": "a", "thoughtSignature": "S"}, {"text": "b", "thoughtSignature": "T"}]),
            json!([
                {"text": "a"},
                {"functionCall": {"id": "x", "name": "f", "args": {"n": 1}}, "thoughtSignature": "S"},
                {"functionCall": {"name": "f", "args": {"n": 2}}}
            ]),
        ] {
            let turn = answer(&candidate(&parts, "STOP")).expect("an answer").turn;
            let stored = serde_json::to_string(&turn).expect("JSON");
            let turns = [
                forebay_shared::turn::Turn::text(forebay_shared::turn::Role::User, "go"),
                serde_json::from_str(&stored).expect("a turn"),
            ];
            let sent = contents::from_turns(&turns).expect("the turns can be sent");
            assert_eq!(sent.contents[1]["parts"], parts);
        }
    }

    #[test]
    fn calls_without_ids_get_different_generated_ones() {
        let parts = json!([{"functionCall": {"name": "f"}}, {"functionCall": {"name": "f"}}]);
        let answer = answer(&candidate(&parts, "STOP")).expect("an answer");
        assert_eq!(answer.finish_reason, FinishReason::ToolCalls);
        let calls = &answer.turn.tool_calls;
        assert_ne!(calls[0].id, calls[1].id);
        assert_eq!(calls[0].function.arguments, "{}");
    }

    #[test]
    fn a_token_limit_or_content_filter_is_no_failure_with_or_without_text() {
        for (reason, expected) in [
            ("MAX_TOKENS", FinishReason::Length),
            ("SAFETY", FinishReason::ContentFilter),
            ("RECITATION", FinishReason::ContentFilter),
            ("PROHIBITED_CONTENT", FinishReason::ContentFilter),
        ] {
            for parts in [json!([]), json!([{"text": "part"}])] {
                let answer = answer(&candidate(&parts, reason)).expect("an answer");
                assert_eq!(answer.finish_reason, expected);
                assert_eq!(answer.text().is_some(), parts != json!([]));
            }
            let bare = json!({"candidates": [{"finishReason": reason}]});
            assert_eq!(answer(&bare).expect("an answer").finish_reason, expected);
        }
    }

    #[test]
    fn answers_without_a_reply_fail() {
        for (body, code, retry) in [
            (
                json!({"promptFeedback": {"blockReason": "SAFETY"}}),
                "content_blocked",
                Retry::Never,
            ),
            (json!({}), "empty_response", Retry::Backoff),
            (json!({"candidates": []}), "empty_response", Retry::Backoff),
            (
                candidate(&json!([]), "STOP"),
                "empty_response",
                Retry::Backoff,
            ),
            (
                candidate(&json!([{"text": ""}]), "STOP"),
                "empty_response",
                Retry::Backoff,
            ),
            (
                candidate(&json!([]), "MALFORMED_FUNCTION_CALL"),
                "invalid_response",
                Retry::Backoff,
            ),
            (
                candidate(&json!([{"inlineData": {"data": "AA"}}]), "STOP"),
                "unsupported_response",
                Retry::Never,
            ),
            (
                json!({"error": {"code": 503, "message": "no"}}),
                "provider_error",
                Retry::Backoff,
            ),
            (json!({"candidates": 1}), "invalid_response", Retry::Backoff),
        ] {
            let failure = answer(&body).expect_err("there is no reply");
            assert_eq!(
                (failure.error.code.as_str(), failure.retry),
                (code, retry),
                "{body}"
            );
        }
        let failure = read(b"{\"candidates\": [", &[]).expect_err("there is no reply");
        assert_eq!(failure.error.code, "invalid_response");
    }
}
