//! How the model is to answer: its form, its length, its effort, its chance.

use forebay_shared::job::{JsonSchema, ReasoningEffort, ResponseFormat, Stop};
use serde_json::Value;

use super::{
    faults::Faults,
    fields::{Object, any_text, flag, list, name, number, opaque_object, text, whole, word},
    path::Path,
};

const OUTPUT_TOKENS_MAX: u32 = 1_000_000;
const STOPS_MAX: usize = 4;

/// How the model is to answer.
pub(super) struct Sampling {
    pub(super) response_format: Option<ResponseFormat>,
    pub(super) reasoning_effort: Option<ReasoningEffort>,
    pub(super) temperature: Option<f64>,
    pub(super) top_p: Option<f64>,
    pub(super) stop: Option<Stop>,
    pub(super) max_output_tokens: Option<u32>,
}

/// Takes these fields out of a submit's.
pub(super) fn read(fields: &mut Object<'_>, at: Path<'_>, faults: &mut Faults) -> Sampling {
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
        response_format: response_format(format, at.key("response_format"), faults),
        reasoning_effort: word(effort, at.key("reasoning_effort"), &efforts, faults),
        temperature: number(
            temperature,
            at.key("temperature"),
            |number| (0.0..=2.0).contains(&number),
            "from 0 to 2",
            faults,
        ),
        top_p: number(
            top_p,
            at.key("top_p"),
            |number| number > 0.0 && number <= 1.0,
            "over 0, at most 1",
            faults,
        ),
        stop: stop(stops, at.key("stop"), faults),
        max_output_tokens: whole(
            tokens,
            at.key("max_output_tokens"),
            1..=OUTPUT_TOKENS_MAX,
            faults,
        ),
    }
}

fn stop(value: Option<Value>, at: Path<'_>, faults: &mut Faults) -> Option<Stop> {
    match value? {
        Value::String(text) if !text.is_empty() => Some(Stop::One(text)),
        value @ Value::Array(_) => {
            let values = list(Some(value), at, 1..=STOPS_MAX, faults)?;
            let mut texts = Vec::with_capacity(values.len());
            for (place, value) in values.into_iter().enumerate() {
                texts.extend(any_text(Some(value), at.index(place), faults));
            }
            Some(Stop::Many(texts))
        }
        _ => {
            let allowed = format_args!(
                "must be a text that is not empty, or a list of 1 to {STOPS_MAX} of them"
            );
            faults.add(at, allowed);
            None
        }
    }
}

#[derive(Clone, Copy)]
enum Form {
    Text,
    Object,
    Schema,
}

fn response_format(
    value: Option<Value>,
    at: Path<'_>,
    faults: &mut Faults,
) -> Option<ResponseFormat> {
    let mut fields = Object::of(value?, at, faults)?;
    let forms = [
        ("text", Form::Text),
        ("json_object", Form::Object),
        ("json_schema", Form::Schema),
    ];
    let form = word(
        fields.require("type", faults),
        at.key("type"),
        &forms,
        faults,
    )?;
    let format = match form {
        Form::Text => Some(ResponseFormat::Text),
        Form::Object => Some(ResponseFormat::JsonObject),
        Form::Schema => {
            let schema = fields.require("json_schema", faults);
            let schema = schema.and_then(|value| json_schema(value, at.key("json_schema"), faults));
            schema.map(|json_schema| ResponseFormat::JsonSchema { json_schema })
        }
    };
    let allowed = match form {
        Form::Schema => "type, json_schema",
        Form::Text | Form::Object => "type",
    };
    fields.finish(allowed, faults);
    format
}

fn json_schema(value: Value, at: Path<'_>, faults: &mut Faults) -> Option<JsonSchema> {
    let mut fields = Object::of(value, at, faults)?;
    let called = fields.require("name", faults);
    let called = name(called, at.key("name"), faults);
    let description = fields.take("description");
    let description = text(description, at.key("description"), 0..=usize::MAX, faults);
    let schema = fields.require("schema", faults);
    let schema = opaque_object(schema, at.key("schema"), faults);
    let strict = flag(fields.take("strict"), at.key("strict"), faults);
    fields.finish("name, description, schema, strict", faults);
    Some(JsonSchema {
        name: called?,
        description,
        schema: Value::Object(schema?),
        strict,
    })
}
