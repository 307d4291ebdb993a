//! A job's request in OpenAI's form. The turns already are in it, so little is to be done.

use forebay_shared::turn::{Content, Part, Role, Turn};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::reasoning;
use crate::provider::{Call, Failure, Retry};

/// How the bound on a reply's tokens is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaxTokensField {
    /// The first name, which most servers know. OpenAI's reasoning models refuse it.
    MaxTokens,
    /// OpenAI's newer name.
    MaxCompletionTokens,
}

impl MaxTokensField {
    const fn as_str(self) -> &'static str {
        match self {
            Self::MaxTokens => "max_tokens",
            Self::MaxCompletionTokens => "max_completion_tokens",
        }
    }
}

/// In what the servers of this API differ.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dialect {
    pub(super) max_tokens_field: MaxTokensField,
    /// Whether `extra_content` is sent back. OpenAI itself never gives any and refuses fields it does not
    /// know, so what another provider left in the session is kept from it.
    pub(super) extra_content: bool,
}

/// The fields that `extra_body` may not touch.
const OURS: [&str; 2] = ["messages", "model"];

/// The body of the request to the provider of this name.
pub(super) fn body(call: &Call<'_>, dialect: Dialect, provider: &str) -> Result<Vec<u8>, Failure> {
    let fields = fields(call, dialect, provider)?;
    // A map with text keys of JSON values: writing it cannot fail.
    serde_json::to_vec(&fields).map_err(|error| unwritable(&error))
}

fn fields(
    call: &Call<'_>,
    dialect: Dialect,
    provider: &str,
) -> Result<Map<String, Value>, Failure> {
    let asked = call.request;
    let mut body = Map::new();
    body.insert("model".into(), call.model.into());
    body.insert("messages".into(), messages(call, dialect, provider)?);
    if !asked.tools.is_empty() {
        body.insert("tools".into(), value(&asked.tools)?);
    }
    if let Some(choice) = &asked.tool_choice {
        body.insert("tool_choice".into(), value(choice)?);
    }
    if let Some(format) = &asked.response_format {
        body.insert("response_format".into(), value(format)?);
    }
    if let Some(effort) = &asked.reasoning_effort {
        body.insert("reasoning_effort".into(), value(effort)?);
    }
    if let Some(temperature) = asked.temperature {
        body.insert("temperature".into(), json!(temperature));
    }
    if let Some(top_p) = asked.top_p {
        body.insert("top_p".into(), json!(top_p));
    }
    if let Some(stop) = &asked.stop {
        body.insert("stop".into(), value(stop)?);
    }
    if let Some(max) = asked.max_output_tokens {
        body.insert(dialect.max_tokens_field.as_str().into(), max.into());
    }
    for (name, extra) in &asked.extra_body {
        if OURS.contains(&name.as_str()) {
            return Err(refused(name, "it is made from the job itself"));
        }
        if name == "stream" {
            if *extra != Value::Bool(false) {
                return Err(refused(name, "a job's reply is read as a whole"));
            }
            continue;
        }
        body.insert(name.clone(), extra.clone());
    }
    Ok(body)
}

fn messages(call: &Call<'_>, dialect: Dialect, provider: &str) -> Result<Value, Failure> {
    let mut messages = Vec::with_capacity(call.turns.len() + 1);
    if let Some(instructions) = &call.request.instructions {
        messages.push(json!({"role": "system", "content": instructions}));
    }
    for turn in call.turns {
        messages.push(message(turn, dialect, provider)?);
    }
    Ok(Value::Array(messages))
}

fn message(turn: &Turn, dialect: Dialect, provider: &str) -> Result<Value, Failure> {
    let mut message = if dialect.extra_content {
        value(turn)?
    } else {
        value(&without_extra_content(turn))?
    };
    reasoning::give_back(&mut message, provider);
    if turn.content.is_none() && turn.tool_calls.is_empty() && turn.role == Role::Assistant {
        // A reply of which the provider kept everything back. A message must say something.
        message["content"] = "".into();
    }
    Ok(message)
}

fn without_extra_content(turn: &Turn) -> Turn {
    let mut turn = turn.clone();
    turn.extra_content = None;
    for call in &mut turn.tool_calls {
        call.extra_content = None;
    }
    if let Some(Content::Parts(parts)) = &mut turn.content {
        for part in parts {
            if let Part::Text { extra_content, .. } = part {
                *extra_content = None;
            }
        }
    }
    turn
}

fn value(of: &impl serde::Serialize) -> Result<Value, Failure> {
    serde_json::to_value(of).map_err(|error| unwritable(&error))
}

fn unwritable(error: &serde_json::Error) -> Failure {
    Failure::new(
        "invalid_request",
        format!("the request cannot be written as JSON: {error}"),
        Retry::Never,
    )
}

fn refused(field: &str, why: &str) -> Failure {
    Failure::new(
        "invalid_request",
        format!("extra_body must not set {field}: {why}"),
        Retry::Never,
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use forebay_shared::{job::Request, turn::Turn};
    use serde_json::{Value, json};

    use super::{Dialect, MaxTokensField, fields};
    use crate::provider::{Call, Failure, Retry};

    const COMPATIBLE: Dialect = Dialect {
        max_tokens_field: MaxTokensField::MaxTokens,
        extra_content: true,
    };

    fn mapped(request: &Value, turns: Value, dialect: Dialect) -> Result<Value, Failure> {
        let mut all = json!({"input": [], "tool_wait_s": 60});
        for (name, value) in request.as_object().expect("an object") {
            all[name] = value.clone();
        }
        let request: Request = serde_json::from_value(all).expect("a request");
        let turns: Vec<Turn> = serde_json::from_value(turns).expect("turns");
        let call = Call {
            model: "m",
            request: &request,
            turns: &turns,
            timeout: Duration::from_secs(1),
        };
        fields(&call, dialect, "a").map(Value::Object)
    }

    #[test]
    fn what_was_not_given_is_not_sent() {
        let turns = json!([{"role": "user", "content": "hi"}]);
        assert_eq!(
            mapped(&json!({}), turns.clone(), COMPATIBLE),
            Ok(json!({"model": "m", "messages": turns}))
        );
    }

    #[test]
    fn what_was_given_is_sent_in_its_own_form() {
        let request = json!({
            "instructions": "be brief",
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
            "tool_choice": {"type": "function", "function": {"name": "f"}},
            "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {}, "strict": true}},
            "reasoning_effort": "low",
            "temperature": 0.5,
            "top_p": 0.9,
            "stop": ["a", "b"],
            "max_output_tokens": 7,
            "extra_body": {"seed": 3, "temperature": 1.0, "stream": false}
        });
        let sent = mapped(&request, json!([]), COMPATIBLE).expect("a body");
        assert_eq!(
            sent,
            json!({
                "model": "m",
                "messages": [{"role": "system", "content": "be brief"}],
                "tools": request["tools"],
                "tool_choice": request["tool_choice"],
                "response_format": request["response_format"],
                "reasoning_effort": "low",
                "temperature": 1.0,
                "top_p": 0.9,
                "stop": ["a", "b"],
                "max_tokens": 7,
                "seed": 3
            })
        );
    }

    #[test]
    fn the_bound_on_tokens_has_the_name_that_the_server_knows() {
        let dialect = Dialect {
            max_tokens_field: MaxTokensField::MaxCompletionTokens,
            ..COMPATIBLE
        };
        let sent = mapped(&json!({"max_output_tokens": 7}), json!([]), dialect).expect("a body");
        assert_eq!(sent["max_completion_tokens"], 7);
        assert_eq!(sent.get("max_tokens"), None);
    }

    #[test]
    fn what_a_provider_wants_back_goes_back_but_not_to_openai_itself() {
        let turns = json!([
            {"role": "user", "content": [
                {"type": "text", "text": "see"},
                {"type": "image_url", "image_url": {"url": "https://x.example/a.png", "detail": "low"}}
            ]},
            {"role": "assistant", "extra_content": {"google": {"thought_signature": "A"}}, "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"},
                 "extra_content": {"google": {"thought_signature": "B"}}}
            ]},
            {"role": "tool", "tool_call_id": "1", "content": "42"}
        ]);
        let sent = mapped(&json!({}), turns.clone(), COMPATIBLE).expect("a body");
        assert_eq!(sent["messages"], turns);

        let openai = Dialect {
            extra_content: false,
            ..COMPATIBLE
        };
        let sent = mapped(&json!({}), turns, openai).expect("a body");
        assert!(!sent.to_string().contains("extra_content"), "{sent}");
        assert_eq!(sent["messages"][1]["tool_calls"][0]["id"], "1");
    }

    #[test]
    fn reasoning_goes_back_to_who_gave_it() {
        let turns = |provider: &str| {
            let kept = json!({"forebay": {"provider": provider, "reasoning_content": "hm"}});
            json!([
                {"role": "user", "content": "go"},
                {"role": "assistant", "extra_content": kept, "tool_calls": [
                    {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
                ]},
                {"role": "tool", "tool_call_id": "1", "content": "42"}
            ])
        };
        let sent = mapped(&json!({}), turns("a"), COMPATIBLE).expect("a body");
        assert_eq!(sent["messages"][1]["reasoning_content"], "hm");
        assert_eq!(sent["messages"][1].get("extra_content"), None);
        let sent = mapped(&json!({}), turns("b"), COMPATIBLE).expect("a body");
        assert!(!sent.to_string().contains("hm"), "{sent}");
        assert_eq!(sent["messages"][1].get("extra_content"), None);
    }

    #[test]
    fn a_reply_without_content_is_sent_as_an_empty_one() {
        let sent = mapped(&json!({}), json!([{"role": "assistant"}]), COMPATIBLE);
        assert_eq!(
            sent.expect("a body")["messages"],
            json!([{"role": "assistant", "content": ""}])
        );
    }

    #[test]
    fn extra_body_cannot_change_what_makes_the_call() {
        for (extra, field) in [
            (json!({"messages": []}), "messages"),
            (json!({"model": "other"}), "model"),
            (json!({"stream": true}), "stream"),
        ] {
            let failure = mapped(&json!({"extra_body": extra}), json!([]), COMPATIBLE)
                .expect_err("must be refused");
            assert_eq!(failure.error.code, "invalid_request");
            assert_eq!(failure.retry, Retry::Never);
            assert!(failure.error.message.contains(field), "{failure}");
        }
    }
}
