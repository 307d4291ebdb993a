//! Builds a request in OpenAI's form.

use forebay_shared::job::extra_body_refusal;
use serde_json::{Map, Value, json};

use super::{dialect::Dialect, known_fields, messages};
use crate::provider::{Call, Failure, Retry, json_body};

/// The body of the request to the provider named `provider`.
///
/// # Errors
/// `invalid_request` when `extra_body` sets a field that it must not set, or a turn has no JSON form.
pub(super) fn body(call: &Call<'_>, dialect: Dialect, provider: &str) -> Result<Vec<u8>, Failure> {
    json_body::write(&fields(call, dialect, provider)?)
}

fn fields(
    call: &Call<'_>,
    dialect: Dialect,
    provider: &str,
) -> Result<Map<String, Value>, Failure> {
    let request = call.request;
    let mut body = Map::new();
    body.insert("model".into(), call.model.into());
    body.insert("messages".into(), messages::write(call, dialect, provider)?);
    // Some servers stream their reply if this field is missing.
    body.insert("stream".into(), false.into());
    if !request.tools.is_empty() {
        let mut tools = json_body::to_value(&request.tools)?;
        known_fields::remove_unknown_in_tools(&request.tools, &mut tools);
        body.insert("tools".into(), tools);
    }
    if let Some(choice) = &request.tool_choice {
        let mut tool_choice = json_body::to_value(choice)?;
        known_fields::remove_unknown_in_tool_choice(choice, &mut tool_choice);
        body.insert("tool_choice".into(), tool_choice);
    }
    if let Some(format) = &request.response_format {
        let mut response_format = json_body::to_value(format)?;
        known_fields::remove_unknown_in_response_format(format, &mut response_format);
        body.insert("response_format".into(), response_format);
    }
    if let Some(effort) = &request.reasoning_effort {
        body.insert("reasoning_effort".into(), json_body::to_value(effort)?);
    }
    if let Some(temperature) = request.temperature {
        body.insert("temperature".into(), json!(temperature));
    }
    if let Some(top_p) = request.top_p {
        body.insert("top_p".into(), json!(top_p));
    }
    if let Some(stop) = &request.stop {
        body.insert("stop".into(), json_body::to_value(stop)?);
    }
    if let Some(max) = request.max_output_tokens {
        body.insert(dialect.max_tokens_field.as_str().into(), max.into());
    }
    for (name, extra) in &request.extra_body {
        if let Some(why) = extra_body_refusal(name, extra) {
            return Err(refused(name, why));
        }
        body.insert(name.clone(), extra.clone());
    }
    Ok(body)
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

    use super::{
        super::dialect::{Dialect, MaxTokensField},
        fields,
    };
    use crate::provider::{Call, Failure, Retry};

    fn body_fields(request: &Value, turns: Value, dialect: Dialect) -> Result<Value, Failure> {
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
            trace: None,
        };
        fields(&call, dialect, "a").map(Value::Object)
    }

    #[test]
    fn parameters_that_are_not_set_are_not_sent() {
        let turns = json!([{"role": "user", "content": "hi"}]);
        assert_eq!(
            body_fields(&json!({}), turns.clone(), Dialect::COMPATIBLE),
            Ok(json!({"model": "m", "messages": turns, "stream": false}))
        );
    }

    #[test]
    fn parameters_are_sent_in_openais_form() {
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
        let sent =
            body_fields(&request, json!([]), Dialect::COMPATIBLE).expect("the job can be sent");
        assert_eq!(
            sent,
            json!({
                "model": "m",
                "messages": [{"role": "system", "content": "be brief"}],
                "stream": false,
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
    fn the_dialect_names_the_field_of_the_token_limit() {
        let dialect = Dialect {
            max_tokens_field: MaxTokensField::MaxCompletionTokens,
            ..Dialect::COMPATIBLE
        };
        let sent = body_fields(&json!({"max_output_tokens": 7}), json!([]), dialect)
            .expect("the job can be sent");
        assert_eq!(sent["max_completion_tokens"], 7);
        assert_eq!(sent.get("max_tokens"), None);
    }

    #[test]
    fn extra_content_is_sent_back_but_not_to_openai() {
        let turns = json!([
            {"role": "user", "content": [
                {"type": "text", "text": "see"},
                {"type": "image_url", "image_url": {"url": "https://x.example/a.png", "detail": "low"}}
            ]},
            {"role": "assistant", "content": null, "extra_content": {"google": {"thought_signature": "A"}}, "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"},
                 "extra_content": {"google": {"thought_signature": "B"}}}
            ]},
            {"role": "tool", "tool_call_id": "1", "content": "42"}
        ]);
        let sent = body_fields(&json!({}), turns.clone(), Dialect::COMPATIBLE)
            .expect("the job can be sent");
        assert_eq!(sent["messages"], turns);

        let sent = body_fields(&json!({}), turns, Dialect::OPENAI).expect("the job can be sent");
        assert!(!sent.to_string().contains("extra_content"), "{sent}");
        assert_eq!(sent["messages"][1]["tool_calls"][0]["id"], "1");
    }

    #[test]
    fn reasoning_is_sent_back_to_its_provider_only() {
        let turns = |provider: &str| {
            let extra_content =
                json!({"forebay": {"provider": provider, "reasoning_content": "hm"}});
            json!([
                {"role": "user", "content": "go"},
                {"role": "assistant", "extra_content": extra_content, "tool_calls": [
                    {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
                ]},
                {"role": "tool", "tool_call_id": "1", "content": "42"}
            ])
        };
        let sent =
            body_fields(&json!({}), turns("a"), Dialect::COMPATIBLE).expect("the job can be sent");
        assert_eq!(sent["messages"][1]["reasoning_content"], "hm");
        assert_eq!(sent["messages"][1].get("extra_content"), None);
        let sent =
            body_fields(&json!({}), turns("b"), Dialect::COMPATIBLE).expect("the job can be sent");
        assert!(!sent.to_string().contains("hm"), "{sent}");
        assert_eq!(sent["messages"][1].get("extra_content"), None);
    }

    #[test]
    fn extra_body_cannot_set_messages_model_or_stream() {
        for (extra, field) in [
            (json!({"messages": []}), "messages"),
            (json!({"model": "other"}), "model"),
            (json!({"stream": true}), "stream"),
        ] {
            let failure = body_fields(
                &json!({"extra_body": extra}),
                json!([]),
                Dialect::COMPATIBLE,
            )
            .expect_err("the job is refused");
            assert_eq!(failure.error.code, "invalid_request");
            assert_eq!(failure.retry, Retry::Never);
            assert!(failure.error.message.contains(field), "{failure}");
        }
    }
}
