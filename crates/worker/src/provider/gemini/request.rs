//! Builds a request in Gemini's form.

use forebay_shared::{
    job::{
        JsonSchema, Request, ResponseFormat, Tool, ToolChoice, ToolChoiceMode, extra_body_refusal,
    },
    turn::ToolKind,
};
use serde_json::{Map, Value, json};

use super::{contents, signature, thinking, unsupported::unsupported};
use crate::provider::{Call, Failure, Retry, json_body};

/// The body of the request.
///
/// # Errors
/// `unsupported_parameter` when Gemini's API cannot express the job, `invalid_request` when it would refuse
/// the job.
pub(super) fn body(call: &Call<'_>) -> Result<Vec<u8>, Failure> {
    json_body::write(&fields(call)?)
}

fn fields(call: &Call<'_>) -> Result<Map<String, Value>, Failure> {
    let request = call.request;
    let mut turns = contents::from_turns(call.turns)?;
    signature::add_placeholders(&mut turns.contents, call.model);
    let mut body = Map::new();
    body.insert("contents".into(), turns.contents.into());
    let instructions = request.instructions.as_ref();
    let mut system: Vec<Value> = instructions
        .map(|text| json!({"text": text}))
        .into_iter()
        .collect();
    contents::add_system(&mut system, turns.system);
    if !system.is_empty() {
        body.insert("systemInstruction".into(), json!({"parts": system}));
    }
    if !request.tools.is_empty() {
        let functions: Vec<Value> = request
            .tools
            .iter()
            .map(declaration)
            .collect::<Result<_, _>>()?;
        body.insert("tools".into(), json!([{"functionDeclarations": functions}]));
    }
    if let Some(mode) = function_calling(request)? {
        body.insert("toolConfig".into(), json!({"functionCallingConfig": mode}));
    }
    let config = generation_config(call.model, request)?;
    if !config.is_empty() {
        body.insert("generationConfig".into(), config.into());
    }
    merge_extra_body(&mut body, &request.extra_body)?;
    Ok(body)
}

fn declaration(tool: &Tool) -> Result<Value, Failure> {
    if tool.kind != ToolKind::Function {
        return Err(unsupported("a tool is not a function"));
    }
    let function = &tool.function;
    let mut declared = json!({"name": function.name});
    if let Some(description) = &function.description {
        declared["description"] = description.as_str().into();
    }
    if let Some(parameters) = &function.parameters {
        // The field `parameters` accepts only a subset of JSON Schema.
        declared["parametersJsonSchema"] = parameters.clone();
    }
    Ok(declared)
}

/// How the model may call tools. Gemini has no field for a tool's `strict`. Its mode VALIDATED has the same effect. In its
/// mode ANY the arguments always follow the schemas.
fn function_calling(request: &Request) -> Result<Option<Value>, Failure> {
    let strict = request
        .tools
        .iter()
        .any(|tool| tool.function.strict == Some(true));
    Ok(match &request.tool_choice {
        None if strict => Some(json!({"mode": "VALIDATED"})),
        None => None,
        Some(ToolChoice::Mode(ToolChoiceMode::None)) => Some(json!({"mode": "NONE"})),
        Some(ToolChoice::Mode(ToolChoiceMode::Auto)) if strict => {
            Some(json!({"mode": "VALIDATED"}))
        }
        Some(ToolChoice::Mode(ToolChoiceMode::Auto)) => Some(json!({"mode": "AUTO"})),
        Some(ToolChoice::Mode(ToolChoiceMode::Required)) => Some(json!({"mode": "ANY"})),
        Some(ToolChoice::Function { function, .. }) => {
            Some(json!({"mode": "ANY", "allowedFunctionNames": [function.name]}))
        }
        Some(ToolChoice::Mode(ToolChoiceMode::Unknown(_)) | ToolChoice::Unknown(_)) => {
            return Err(unsupported("an unknown tool_choice"));
        }
    })
}

fn generation_config(model: &str, request: &Request) -> Result<Map<String, Value>, Failure> {
    let mut config = Map::new();
    if let Some(temperature) = request.temperature {
        config.insert("temperature".into(), json!(temperature));
    }
    if let Some(top_p) = request.top_p {
        config.insert("topP".into(), json!(top_p));
    }
    if let Some(stop) = &request.stop {
        config.insert("stopSequences".into(), json!(stop.texts()));
    }
    if let Some(max) = request.max_output_tokens {
        config.insert("maxOutputTokens".into(), max.into());
    }
    if let Some(effort) = &request.reasoning_effort {
        config.insert("thinkingConfig".into(), thinking::config(model, effort)?);
    }
    match &request.response_format {
        None | Some(ResponseFormat::Text { .. }) => {}
        Some(ResponseFormat::JsonObject { .. }) => {
            config.insert("responseMimeType".into(), "application/json".into());
        }
        Some(ResponseFormat::JsonSchema { json_schema, .. }) => {
            config.insert("responseMimeType".into(), "application/json".into());
            config.insert("responseJsonSchema".into(), with_description(json_schema)?);
        }
        Some(ResponseFormat::Unknown(_)) => return Err(unsupported("an unknown response_format")),
    }
    Ok(config)
}

/// The schema with the job's description inside it, because Gemini has no separate field for the description. The schema's
/// name is left out: OpenAI's API requires a name, but the model does not need it.
fn with_description(format: &JsonSchema) -> Result<Value, Failure> {
    let mut schema = format.schema.clone();
    let description = format.description.as_deref();
    let Some(description) = description.filter(|text| !text.is_empty()) else {
        return Ok(schema);
    };
    if schema.get("$ref").is_some() {
        return Err(unsupported(
            "the schema is a $ref and has a description, but a $ref allows no other field",
        ));
    }
    let combined = match schema["description"].as_str() {
        Some(own) if own != description => format!("{description}\n{own}"),
        _ => description.to_owned(),
    };
    schema["description"] = combined.into();
    Ok(schema)
}

/// Merges the job's `extra_body` into the body.
///
/// Most fields replace the fields of the body. `generationConfig` is merged field by field, and `tools` are appended: a
/// replacement would remove the job's own parameters and tools. So a job can combine its tools with Gemini's own tools,
/// such as the search.
fn merge_extra_body(
    body: &mut Map<String, Value>,
    extra: &Map<String, Value>,
) -> Result<(), Failure> {
    for (name, value) in extra {
        if let Some(why) = extra_body_refusal(name, value) {
            return Err(Failure::new(
                "invalid_request",
                format!("extra_body must not set {name}: {why}"),
                Retry::Never,
            ));
        }
        match name.as_str() {
            // Gemini's API has no such field.
            "stream" => {}
            _ => match (body.get_mut(name), value) {
                (Some(Value::Object(own)), Value::Object(extra)) if name == "generationConfig" => {
                    own.extend(extra.clone());
                }
                (Some(Value::Array(own)), Value::Array(extra)) if name == "tools" => {
                    own.extend(extra.iter().cloned());
                }
                _ => {
                    body.insert(name.clone(), value.clone());
                }
            },
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use forebay_shared::{
        job::Request,
        turn::{Role, Turn},
    };
    use serde_json::{Value, json};

    use super::fields;
    use crate::provider::{Call, Failure};

    fn body_fields(request: &Value) -> Result<Value, Failure> {
        let mut all = json!({"input": [], "tool_wait_s": 60});
        for (name, value) in request.as_object().expect("an object") {
            all[name] = value.clone();
        }
        let request: Request = serde_json::from_value(all).expect("a request");
        let call = Call {
            model: "gemini-2.5-flash",
            request: &request,
            turns: &[Turn::text(Role::User, "hi")],
            timeout: Duration::from_secs(1),
            trace: None,
        };
        fields(&call).map(Value::Object)
    }

    const NOT_STRICT: bool = false;

    fn tools(strict: bool) -> Value {
        let mut function =
            json!({"name": "f", "description": "d", "parameters": {"type": "object"}});
        if strict {
            function["strict"] = true.into();
        }
        json!([{"type": "function", "function": function}])
    }

    #[test]
    fn parameters_that_are_not_set_are_not_sent() {
        assert_eq!(
            body_fields(&json!({})),
            Ok(json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}))
        );
    }

    #[test]
    fn parameters_are_sent_in_geminis_form() {
        let sent = body_fields(&json!({
            "instructions": "be brief",
            "tools": tools(NOT_STRICT),
            "tool_choice": "required",
            "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}},
            "reasoning_effort": "low",
            "temperature": 0.5,
            "top_p": 0.9,
            "stop": "end",
            "max_output_tokens": 7,
            "extra_body": {"generationConfig": {"seed": 3, "topP": 0.8}, "safetySettings": []}
        }))
        .expect("the job can be sent");
        assert_eq!(
            sent,
            json!({
                "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
                "systemInstruction": {"parts": [{"text": "be brief"}]},
                "tools": [{"functionDeclarations": [
                    {"name": "f", "description": "d", "parametersJsonSchema": {"type": "object"}}
                ]}],
                "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
                "generationConfig": {
                    "responseMimeType": "application/json",
                    "responseJsonSchema": {"type": "object"},
                    "thinkingConfig": {"thinkingBudget": 1024},
                    "temperature": 0.5,
                    "topP": 0.8,
                    "stopSequences": ["end"],
                    "maxOutputTokens": 7,
                    "seed": 3
                },
                "safetySettings": []
            })
        );
    }

    #[test]
    fn tool_choices_become_modes() {
        let one = json!({"type": "function", "function": {"name": "f"}});
        for (choice, strict, expected) in [
            (json!("none"), false, json!({"mode": "NONE"})),
            (json!("auto"), false, json!({"mode": "AUTO"})),
            (json!("auto"), true, json!({"mode": "VALIDATED"})),
            (Value::Null, true, json!({"mode": "VALIDATED"})),
            (json!("required"), true, json!({"mode": "ANY"})),
            (
                one,
                false,
                json!({"mode": "ANY", "allowedFunctionNames": ["f"]}),
            ),
        ] {
            let sent = body_fields(&json!({"tools": tools(strict), "tool_choice": choice}));
            assert_eq!(
                sent.expect("the job can be sent")["toolConfig"]["functionCallingConfig"],
                expected,
                "{choice} {strict}"
            );
        }
    }

    #[test]
    fn json_can_be_requested_without_a_schema() {
        let sent = body_fields(&json!({"response_format": {"type": "json_object"}}))
            .expect("the job can be sent");
        assert_eq!(
            sent["generationConfig"],
            json!({"responseMimeType": "application/json"})
        );
        let sent = body_fields(&json!({"response_format": {"type": "text"}}))
            .expect("the job can be sent");
        assert_eq!(sent.get("generationConfig"), None);
    }

    #[test]
    fn the_description_of_a_schema_is_sent_within_it() {
        let sent = |description: &str, schema: &Value| {
            let format = json!({"name": "s", "description": description, "schema": schema});
            body_fields(&json!({"response_format": {"type": "json_schema", "json_schema": format}}))
                .map(|body| body["generationConfig"]["responseJsonSchema"].clone())
        };
        for (description, schema, expected) in [
            (
                "why",
                json!({"type": "object"}),
                json!({"type": "object", "description": "why"}),
            ),
            (
                "why",
                json!({"description": "why"}),
                json!({"description": "why"}),
            ),
            (
                "why",
                json!({"description": "what"}),
                json!({"description": "why\nwhat"}),
            ),
            ("", json!({"type": "object"}), json!({"type": "object"})),
            (
                "",
                json!({"$ref": "#/$defs/a"}),
                json!({"$ref": "#/$defs/a"}),
            ),
        ] {
            assert_eq!(
                sent(description, &schema),
                Ok(expected),
                "{description} {schema}"
            );
        }
        let failure = sent("why", &json!({"$ref": "#/$defs/a"})).expect_err("the job is refused");
        assert_eq!(failure.error.code, "unsupported_parameter");
    }

    #[test]
    fn geminis_own_tools_are_added_to_the_jobs_tools() {
        let extra = json!({"tools": [{"googleSearch": {}}]});
        let sent = body_fields(&json!({"tools": tools(NOT_STRICT), "extra_body": extra}))
            .expect("the job can be sent");
        assert_eq!(sent["tools"][0]["functionDeclarations"][0]["name"], "f");
        assert_eq!(sent["tools"][1], json!({"googleSearch": {}}));
    }

    #[test]
    fn extra_body_cannot_set_contents_model_or_stream() {
        for extra in [
            json!({"contents": []}),
            json!({"model": "x"}),
            json!({"stream": true}),
        ] {
            let failure =
                body_fields(&json!({"extra_body": extra})).expect_err("the job is refused");
            assert_eq!(failure.error.code, "invalid_request");
        }
        assert!(body_fields(&json!({"extra_body": {"stream": false}})).is_ok());
    }
}
