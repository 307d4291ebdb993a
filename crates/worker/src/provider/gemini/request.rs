//! A job's request in Gemini's form.

use forebay_shared::{
    job::{JsonSchema, Request, ResponseFormat, Tool, ToolChoice, ToolChoiceMode},
    turn::FunctionKind,
};
use serde_json::{Map, Value, json};

use super::{contents, signature, thinking, unsupported};
use crate::provider::{Call, Failure, Retry};

/// The body of the request.
pub(super) fn body(call: &Call<'_>) -> Result<Vec<u8>, Failure> {
    let fields = fields(call)?;
    // A map with text keys of JSON values: writing it cannot fail.
    serde_json::to_vec(&fields).map_err(|error| {
        let message = format!("the request cannot be written as JSON: {error}");
        Failure::new("invalid_request", message, Retry::Never)
    })
}

fn fields(call: &Call<'_>) -> Result<Map<String, Value>, Failure> {
    let asked = call.request;
    let mut turns = contents::of(call.turns)?;
    signature::stand_in(&mut turns.contents, call.model);
    let mut body = Map::new();
    body.insert("contents".into(), turns.contents.into());
    let instructions = asked.instructions.as_ref();
    let system: Vec<Value> = instructions
        .map(|text| json!({"text": text}))
        .into_iter()
        .chain(turns.system)
        .collect();
    if !system.is_empty() {
        body.insert("systemInstruction".into(), json!({"parts": system}));
    }
    if !asked.tools.is_empty() {
        let functions: Vec<Value> = asked
            .tools
            .iter()
            .map(declaration)
            .collect::<Result<_, _>>()?;
        body.insert("tools".into(), json!([{"functionDeclarations": functions}]));
    }
    if let Some(calling) = calling(asked)? {
        body.insert(
            "toolConfig".into(),
            json!({"functionCallingConfig": calling}),
        );
    }
    let generation = generation(call.model, asked)?;
    if !generation.is_empty() {
        body.insert("generationConfig".into(), generation.into());
    }
    merge(&mut body, &asked.extra_body)?;
    Ok(body)
}

fn declaration(tool: &Tool) -> Result<Value, Failure> {
    if tool.kind != FunctionKind::Function {
        return Err(unsupported("a tool that is no function"));
    }
    let function = &tool.function;
    let mut declared = json!({"name": function.name});
    if let Some(description) = &function.description {
        declared["description"] = description.as_str().into();
    }
    if let Some(parameters) = &function.parameters {
        // `parameters` would take a part of OpenAPI's schemas only.
        declared["parametersJsonSchema"] = parameters.clone();
    }
    Ok(declared)
}

/// How tools are to be called. `strict`, which Gemini has no field for on a tool, is its mode VALIDATED;
/// the mode ANY follows the schemas anyway.
fn calling(asked: &Request) -> Result<Option<Value>, Failure> {
    let strict = asked
        .tools
        .iter()
        .any(|tool| tool.function.strict == Some(true));
    Ok(match &asked.tool_choice {
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
            return Err(unsupported("this tool_choice"));
        }
    })
}

fn generation(model: &str, asked: &Request) -> Result<Map<String, Value>, Failure> {
    let mut config = Map::new();
    if let Some(temperature) = asked.temperature {
        config.insert("temperature".into(), json!(temperature));
    }
    if let Some(top_p) = asked.top_p {
        config.insert("topP".into(), json!(top_p));
    }
    if let Some(stop) = &asked.stop {
        config.insert("stopSequences".into(), json!(stop.texts()));
    }
    if let Some(max) = asked.max_output_tokens {
        config.insert("maxOutputTokens".into(), max.into());
    }
    if let Some(effort) = &asked.reasoning_effort {
        config.insert("thinkingConfig".into(), thinking::config(model, effort)?);
    }
    match &asked.response_format {
        None | Some(ResponseFormat::Text { .. }) => {}
        Some(ResponseFormat::JsonObject { .. }) => {
            config.insert("responseMimeType".into(), "application/json".into());
        }
        Some(ResponseFormat::JsonSchema { json_schema, .. }) => {
            config.insert("responseMimeType".into(), "application/json".into());
            config.insert("responseJsonSchema".into(), described(json_schema)?);
        }
        Some(ResponseFormat::Unknown(_)) => return Err(unsupported("this response_format")),
    }
    Ok(config)
}

/// The schema with what the job says of it as its own description, the one place that Gemini has for it.
/// The schema's name is left out: OpenAI's API asks for one, and it tells the model nothing.
fn described(asked: &JsonSchema) -> Result<Value, Failure> {
    let mut schema = asked.schema.clone();
    let Some(description) = asked.description.as_deref().filter(|said| !said.is_empty()) else {
        return Ok(schema);
    };
    if schema.get("$ref").is_some() {
        return Err(unsupported(
            "a description of a schema that is a $ref, beside which it takes no other field",
        ));
    }
    let said = match schema["description"].as_str() {
        Some(own) if own != description => format!("{description}\n{own}"),
        _ => description.to_owned(),
    };
    schema["description"] = said.into();
    Ok(schema)
}

/// Puts the job's `extra_body` in. `generationConfig` is merged field by field, as replacing it would
/// drop what the job asks in fields of its own; so would replacing `tools`, which Gemini's own tools
/// (its search, for one) are put behind.
fn merge(body: &mut Map<String, Value>, extra: &Map<String, Value>) -> Result<(), Failure> {
    for (name, value) in extra {
        match name.as_str() {
            "contents" | "model" => {
                return Err(Failure::new(
                    "invalid_request",
                    format!("extra_body must not set {name}: it is made from the job itself"),
                    Retry::Never,
                ));
            }
            "stream" if *value == Value::Bool(false) => {}
            "stream" => return Err(unsupported("stream: a job's reply is read as a whole")),
            _ => match (body.get_mut(name), value) {
                (Some(Value::Object(ours)), Value::Object(theirs))
                    if name == "generationConfig" =>
                {
                    ours.extend(theirs.clone());
                }
                (Some(Value::Array(ours)), Value::Array(theirs)) if name == "tools" => {
                    ours.extend(theirs.iter().cloned());
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

    fn mapped(request: &Value) -> Result<Value, Failure> {
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
        };
        fields(&call).map(Value::Object)
    }

    fn tool(strict: bool) -> Value {
        let mut function =
            json!({"name": "f", "description": "d", "parameters": {"type": "object"}});
        if strict {
            function["strict"] = true.into();
        }
        json!([{"type": "function", "function": function}])
    }

    #[test]
    fn what_was_not_given_is_not_sent() {
        assert_eq!(
            mapped(&json!({})),
            Ok(json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}))
        );
    }

    #[test]
    fn what_was_given_is_sent_in_geminis_form() {
        let sent = mapped(&json!({
            "instructions": "be brief",
            "tools": tool(false),
            "tool_choice": "required",
            "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}},
            "reasoning_effort": "low",
            "temperature": 0.5,
            "top_p": 0.9,
            "stop": "end",
            "max_output_tokens": 7,
            "extra_body": {"generationConfig": {"seed": 3, "topP": 0.8}, "safetySettings": []}
        }))
        .expect("a body");
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
    fn tool_choices() {
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
            let sent = mapped(&json!({"tools": tool(strict), "tool_choice": choice}));
            assert_eq!(
                sent.expect("a body")["toolConfig"]["functionCallingConfig"],
                expected,
                "{choice} {strict}"
            );
        }
    }

    #[test]
    fn json_without_a_schema() {
        let sent = mapped(&json!({"response_format": {"type": "json_object"}})).expect("a body");
        assert_eq!(
            sent["generationConfig"],
            json!({"responseMimeType": "application/json"})
        );
        let sent = mapped(&json!({"response_format": {"type": "text"}})).expect("a body");
        assert_eq!(sent.get("generationConfig"), None);
    }

    #[test]
    fn a_schemas_description_is_sent_in_the_schema() {
        let sent = |description: &str, schema: &Value| {
            let format = json!({"name": "s", "description": description, "schema": schema});
            mapped(&json!({"response_format": {"type": "json_schema", "json_schema": format}}))
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
        let failure = sent("why", &json!({"$ref": "#/$defs/a"})).expect_err("must be refused");
        assert_eq!(failure.error.code, "unsupported_parameter");
    }

    #[test]
    fn geminis_own_tools_stand_beside_the_jobs() {
        let extra = json!({"tools": [{"googleSearch": {}}]});
        let sent = mapped(&json!({"tools": tool(false), "extra_body": extra})).expect("a body");
        assert_eq!(sent["tools"][0]["functionDeclarations"][0]["name"], "f");
        assert_eq!(sent["tools"][1], json!({"googleSearch": {}}));
    }

    #[test]
    fn extra_body_cannot_change_what_makes_the_call() {
        for (extra, code) in [
            (json!({"contents": []}), "invalid_request"),
            (json!({"model": "x"}), "invalid_request"),
            (json!({"stream": true}), "unsupported_parameter"),
        ] {
            let failure = mapped(&json!({"extra_body": extra})).expect_err("must be refused");
            assert_eq!(failure.error.code, code);
        }
        assert!(mapped(&json!({"extra_body": {"stream": false}})).is_ok());
    }
}
