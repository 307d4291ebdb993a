//! Reads an answer in OpenAI's form. Compatible services differ, so missing fields and fields of other types are accepted.
//!
//! `content` reads the texts of a message, `tool_calls` its tool calls, `usage` the token counts and `finish` the
//! finish reason.

use forebay_shared::{
    document::UnknownFields,
    job::FinishReason,
    turn::{Content, Role, Turn},
};
use serde_json::{Value, json};

use super::{content, error, finish, reasoning, tool_calls, usage};
use crate::provider::{
    Answer, Failure, Retry, error_body, first_reply,
    http::Received,
    json_body, tool_call_id,
    unfinished::{reason_text, shortened, unfinished},
};

/// Reads an answer whose status is 2xx.
///
/// `turns` are the turns that were sent. Missing ids of tool calls are derived from them. `provider` is the name of the
/// provider, which is stored with the reasoning.
///
/// # Errors
/// A [`Failure`] when the body holds an error or no finished reply.
pub(super) fn read(received: &Received, turns: &[Turn], provider: &str) -> Result<Answer, Failure> {
    let mut body = json_body::read(&received.body)?;
    let model = json_body::short_text(json_body::take(&mut body, "model"));
    let mut choice = first_reply::take(&mut body, "choices").unwrap_or_default();
    let mut message = match json_body::take(&mut choice, "message") {
        message @ Value::Object(_) => message,
        content => json!({"content": content}),
    };
    let texts = content::read(&message["content"], &message["refusal"]);
    let mut text = texts.text();
    let mut errors = [&body["error"], &choice["error"]].into_iter();
    if let Some(error) = errors.find(|error| error_body::is_present(error)) {
        return Err(error::classify_within_success(received, error).with_detail(text));
    }
    if choice.is_null() {
        return Err(without_choices(&body));
    }
    let is_blank = text.as_ref().is_none_or(|text| text.trim().is_empty());
    let generate_id = tool_call_id::generator(turns, body["id"].as_str());
    let tool_calls = tool_calls::read(&mut message, !is_blank, generate_id)?;
    let mut reasoning = None;
    if is_blank && tool_calls.is_empty() {
        reasoning = reasoning::text(&message).or(texts.reasoning);
    }
    if reasoning.is_some() {
        text = None;
    }
    let reason = reason_text(&choice["finish_reason"]);
    let finish_reason = match finish::read(&reason, !tool_calls.is_empty()) {
        Ok(FinishReason::Stop) if texts.refusal.is_some() => FinishReason::ContentFilter,
        Ok(finish_reason) => finish_reason,
        Err(retry) => {
            let failure = unfinished(&shortened(&reason), retry);
            return Err(failure.with_detail(text.or(reasoning)));
        }
    };
    let is_empty = text.is_none() && tool_calls.is_empty() && reasoning.is_none();
    if is_empty && finish_reason == FinishReason::Stop {
        return Err(empty(
            "the provider's answer has neither text nor tool calls",
        ));
    }
    let extra_content = json_body::take(&mut message, "extra_content");
    let mut extra_content = (!extra_content.is_null()).then_some(extra_content);
    if !tool_calls.is_empty() {
        extra_content = reasoning::store(extra_content, provider, &mut message);
    }
    Ok(Answer {
        memory: received.memory.clone(),
        turn: Turn {
            role: Role::Assistant,
            content: text.map(Content::Text),
            name: None,
            tool_calls,
            tool_call_id: None,
            extra_content,
            unknown: UnknownFields::NONE,
        },
        reasoning,
        finish_reason,
        usage: usage::read(&body["usage"]),
        model,
        limits: received.limits.clone(),
    })
}

/// The failure of a body without choices. Some services answer 200 with an error in a form of their own.
fn without_choices(body: &Value) -> Failure {
    if body["choices"].is_array() {
        return empty("the provider's answer has an empty list of choices");
    }
    let message = error_body::message(body);
    let message = message.map_or_else(String::new, |message| format!(": {message}"));
    Failure::new(
        "invalid_response",
        format!("the provider's answer has no choices{message}"),
        Retry::Backoff,
    )
}

fn empty(message: &str) -> Failure {
    Failure::new("empty_response", message, Retry::Backoff)
}

#[cfg(test)]
mod tests;
