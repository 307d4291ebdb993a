//! The format, reasoning effort, randomness and length of the reply.

use forebay_shared::{
    document::UnknownFields,
    job::{JsonSchema, ReasoningEffort, ResponseFormat, Stop},
};
use serde_json::Value;

use super::{
    field_errors::FieldErrors,
    field_path::FieldPath,
    values::{
        Object, array, boolean, identifier, integer, non_empty_string, number, one_of,
        opaque_object, string,
    },
};

const OUTPUT_TOKENS_MAX: u32 = 1_000_000;
const STOPS_MAX: usize = 4;

/// The fields that control the reply.
pub(super) struct Sampling {
    pub(super) response_format: Option<ResponseFormat>,
    pub(super) reasoning_effort: Option<ReasoningEffort>,
    pub(super) temperature: Option<f64>,
    pub(super) top_p: Option<f64>,
    pub(super) stop: Option<Stop>,
    pub(super) max_output_tokens: Option<u32>,
}

/// Removes the fields of [`Sampling`] from a submit and reads them.
pub(super) fn read(
    fields: &mut Object<'_>,
    path: FieldPath<'_>,
    errors: &mut FieldErrors,
) -> Sampling {
    let efforts = [
        ("none", ReasoningEffort::None),
        ("minimal", ReasoningEffort::Minimal),
        ("low", ReasoningEffort::Low),
        ("medium", ReasoningEffort::Medium),
        ("high", ReasoningEffort::High),
        ("xhigh", ReasoningEffort::Xhigh),
    ];
    let format = fields.take("response_format");
    let effort = fields.take("reasoning_effort");
    let temperature = fields.take("temperature");
    let top_p = fields.take("top_p");
    let stops = fields.take("stop");
    let tokens = fields.take("max_output_tokens");
    Sampling {
        response_format: response_format(format, path.key("response_format"), errors),
        reasoning_effort: one_of(effort, path.key("reasoning_effort"), &efforts, errors),
        temperature: number(
            temperature,
            path.key("temperature"),
            |number| (0.0..=2.0).contains(&number),
            "from 0 to 2",
            errors,
        ),
        top_p: number(
            top_p,
            path.key("top_p"),
            |number| number > 0.0 && number <= 1.0,
            "over 0 and at most 1",
            errors,
        ),
        stop: stop(stops, path.key("stop"), errors),
        max_output_tokens: integer(
            tokens,
            path.key("max_output_tokens"),
            1..=OUTPUT_TOKENS_MAX,
            errors,
        ),
    }
}

fn stop(value: Option<Value>, path: FieldPath<'_>, errors: &mut FieldErrors) -> Option<Stop> {
    match value? {
        Value::String(text) if !text.is_empty() => Some(Stop::One(text)),
        value @ Value::Array(_) => {
            let values = array(Some(value), path, 1..=STOPS_MAX, errors)?;
            let mut texts = Vec::with_capacity(values.len());
            for (index, value) in values.into_iter().enumerate() {
                texts.extend(non_empty_string(Some(value), path.index(index), errors));
            }
            Some(Stop::Many(texts))
        }
        _ => {
            let error_message =
                format_args!("must be a non-empty string or an array of 1 to {STOPS_MAX} of them");
            errors.add(path, error_message);
            None
        }
    }
}

#[derive(Clone, Copy)]
enum FormatKind {
    Text,
    Object,
    Schema,
}

fn response_format(
    value: Option<Value>,
    path: FieldPath<'_>,
    errors: &mut FieldErrors,
) -> Option<ResponseFormat> {
    let mut fields = Object::new(value?, path, errors)?;
    let kinds = [
        ("text", FormatKind::Text),
        ("json_object", FormatKind::Object),
        ("json_schema", FormatKind::Schema),
    ];
    let kind = one_of(
        fields.require("type", errors),
        path.key("type"),
        &kinds,
        errors,
    )?;
    let format = match kind {
        FormatKind::Text => Some(ResponseFormat::Text {
            unknown: UnknownFields::NONE,
        }),
        FormatKind::Object => Some(ResponseFormat::JsonObject {
            unknown: UnknownFields::NONE,
        }),
        FormatKind::Schema => {
            let schema = fields.require("json_schema", errors);
            let schema =
                schema.and_then(|value| json_schema(value, path.key("json_schema"), errors));
            schema.map(|json_schema| ResponseFormat::JsonSchema {
                json_schema,
                unknown: UnknownFields::NONE,
            })
        }
    };
    let known_fields = match kind {
        FormatKind::Schema => "type, json_schema",
        FormatKind::Text | FormatKind::Object => "type",
    };
    fields.refuse_unknown(known_fields, errors);
    format
}

fn json_schema(value: Value, path: FieldPath<'_>, errors: &mut FieldErrors) -> Option<JsonSchema> {
    let mut fields = Object::new(value, path, errors)?;
    let name = fields.require("name", errors);
    let name = identifier(name, path.key("name"), errors);
    let description = fields.take("description");
    let description = string(description, path.key("description"), 0..=usize::MAX, errors);
    let schema = fields.require("schema", errors);
    let schema = opaque_object(schema, path.key("schema"), errors);
    let strict = boolean(fields.take("strict"), path.key("strict"), errors);
    fields.refuse_unknown("name, description, schema, strict", errors);
    Some(JsonSchema {
        name: name?,
        description,
        schema: Value::Object(schema?),
        strict,
        unknown: UnknownFields::NONE,
    })
}
