//! A reply in Gemini's form; what its parts hold is `parts`' business.

use forebay_shared::{
    document::UnknownFields,
    job::{FinishReason, Usage},
    turn::{Role, Turn},
};
use serde::Deserialize;
use serde_json::Value;

use super::{
    fault,
    parts::{self, Reply, WirePart},
};
use crate::provider::{Answer, Failure, Retry, tool_call_id};

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

/// Reads the body of a success. `turns` are those sent, from which missing ids of tool calls are made.
pub(super) fn read(body: &[u8], turns: &[Turn]) -> Result<Answer, Failure> {
    let body: Body = serde_json::from_slice(body).map_err(|error| unreadable(&error))?;
    if let Some(error) = body.error.filter(|error| !error.is_null()) {
        return Err(fault::classify_within_success(&error));
    }
    let blocked = body.prompt_feedback.and_then(|said| said.block_reason);
    let Some(candidate) = body.candidates.unwrap_or_default().into_iter().next() else {
        return Err(match blocked {
            Some(reason) => Failure::new(
                "content_blocked",
                format!("Gemini refused the prompt: {}", word(&reason)),
                Retry::Never,
            ),
            None => empty("Gemini's answer has no candidates"),
        });
    };
    let parts = candidate.content.and_then(|content| content.parts);
    let Reply {
        content,
        extra_content,
        tool_calls,
    } = parts::read(parts.unwrap_or_default(), |index| {
        tool_call_id::made(turns, body.response_id.as_deref(), index)
    })?;
    let finish_reason = finish_reason(candidate.finish_reason.as_deref(), !tool_calls.is_empty())?;
    let is_silent = content
        .as_ref()
        .is_none_or(|content| content.to_text().is_empty());
    if is_silent && tool_calls.is_empty() && finish_reason == FinishReason::Stop {
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

fn finish_reason(said: Option<&str>, calls_tools: bool) -> Result<FinishReason, Failure> {
    match said {
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
            format!("Gemini gave up its answer: {reason}"),
            Retry::Backoff,
        )),
        _ if calls_tools => Ok(FinishReason::ToolCalls),
        _ => Ok(FinishReason::Stop),
    }
}

fn usage(said: &UsageMetadata) -> Usage {
    let input_tokens = said
        .prompt_token_count
        .saturating_add(said.tool_use_prompt_token_count);
    // Thoughts are paid for as output.
    let output_tokens = said
        .candidates_token_count
        .saturating_add(said.thoughts_token_count);
    Usage {
        input_tokens,
        output_tokens,
        total_tokens: said
            .total_token_count
            .unwrap_or_else(|| input_tokens.saturating_add(output_tokens)),
        unknown: UnknownFields::NONE,
    }
}

/// A word of the provider, cut to what a word can be.
fn word(text: &str) -> String {
    text.chars().take(60).collect()
}

fn empty(message: &str) -> Failure {
    Failure::new("empty_response", message, Retry::Backoff)
}

fn unreadable(error: &serde_json::Error) -> Failure {
    // The error's own text can repeat a piece of the reply, so only its kind and place are told.
    let what = if error.is_data() {
        "has another shape than a reply"
    } else {
        "is not (or not all of) a JSON document"
    };
    Failure::new(
        "invalid_response",
        format!(
            "Gemini's answer {what} (line {}, column {})",
            error.line(),
            error.column()
        ),
        Retry::Backoff,
    )
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
    fn signatures_survive_the_round_trip() {
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
            let sent = contents::of(&turns).expect("contents");
            assert_eq!(sent.contents[1]["parts"], parts);
        }
    }

    #[test]
    fn calls_without_ids_get_different_ones() {
        let parts = json!([{"functionCall": {"name": "f"}}, {"functionCall": {"name": "f"}}]);
        let answer = answer(&candidate(&parts, "STOP")).expect("an answer");
        assert_eq!(answer.finish_reason, FinishReason::ToolCalls);
        let calls = &answer.turn.tool_calls;
        assert_ne!(calls[0].id, calls[1].id);
        assert_eq!(calls[0].function.arguments, "{}");
    }

    #[test]
    fn stops_that_are_replies_with_and_without_text() {
        for (said, expected) in [
            ("MAX_TOKENS", FinishReason::Length),
            ("SAFETY", FinishReason::ContentFilter),
            ("RECITATION", FinishReason::ContentFilter),
            ("PROHIBITED_CONTENT", FinishReason::ContentFilter),
        ] {
            for parts in [json!([]), json!([{"text": "part"}])] {
                let answer = answer(&candidate(&parts, said)).expect("an answer");
                assert_eq!(answer.finish_reason, expected);
                assert_eq!(answer.text().is_some(), parts != json!([]));
            }
            let bare = json!({"candidates": [{"finishReason": said}]});
            assert_eq!(answer(&bare).expect("an answer").finish_reason, expected);
        }
    }

    #[test]
    fn what_is_no_reply() {
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
            let failure = answer(&body).expect_err("must be refused");
            assert_eq!(
                (failure.error.code.as_str(), failure.retry),
                (code, retry),
                "{body}"
            );
        }
        let failure = read(b"{\"candidates\": [", &[]).expect_err("must be refused");
        assert_eq!(failure.error.code, "invalid_response");
    }
}
