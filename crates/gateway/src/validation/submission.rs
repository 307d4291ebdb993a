//! Parses a submit's body and reads its top-level fields.

use forebay_shared::{
    class::Class,
    document::{DocumentVersion, UnknownFields},
    ids::SessionId,
    job::{ContextBounds, Request, extra_body_refusal},
    lane::IfBusy,
};
use serde_json::{Map, Value};

use super::{
    field_errors::FieldErrors,
    field_path::FieldPath,
    json_text, messages, metadata, sampling, tools,
    values::{Object, integer, non_empty_string, one_of, opaque_object},
};
use crate::problem::Problem;

const FIELDS: &str = "input, session_id, model, instructions, tools, tool_choice, response_format, \
    reasoning_effort, temperature, top_p, stop, max_output_tokens, context, tool_wait_s, priority, \
    if_busy, expires_in_s, metadata, extra_body";

/// The default of `tool_wait_s`: how long a session waits for tool results, in seconds.
const TOOL_WAIT_S_DEFAULT: u32 = 60;
const TOOL_WAIT_S_MAX: u32 = 3_600;
/// The default of `expires_in_s`: how long after its submit a job expires, in seconds. This is one day.
const EXPIRES_IN_S_DEFAULT: u32 = 86_400;
/// One week, in seconds.
const EXPIRES_IN_S_MAX: u32 = 604_800;
const MODEL_CHARS_MAX: usize = 200;
const CONTEXT_TURNS_MAX: u32 = 10_000;
const CONTEXT_TOKENS_MAX: u32 = 100_000_000;

/// A valid submit.
#[derive(Debug)]
pub(crate) struct Submission {
    pub(crate) request: Request,
    pub(crate) session: Option<SessionId>,
    pub(crate) model: String,
    pub(crate) class: Class,
    pub(crate) if_busy: IfBusy,
    /// Whether the input consists of tool results.
    pub(crate) is_tool_results: bool,
    pub(crate) expires_in_ms: u64,
    pub(crate) metadata: Map<String, Value>,
}

/// Parses and validates a submit. `default_model` is the model of a submit that names none.
pub(crate) fn submission(body: &[u8], default_model: Option<&str>) -> Result<Submission, Problem> {
    let value = json_text::parse(body)?;
    let mut errors = FieldErrors::default();
    let submission = read(value, default_model, &mut errors);
    errors.into_result(submission)
}

fn read(value: Value, default_model: Option<&str>, errors: &mut FieldErrors) -> Option<Submission> {
    let root = FieldPath::Root;
    let mut fields = Object::new(value, root, errors)?;

    let input = fields.require("input", errors);
    let input = messages::read(input, root.key("input"), errors);
    let session = session_id(fields.take("session_id"), root.key("session_id"), errors);
    let model = model(
        fields.take("model"),
        root.key("model"),
        default_model,
        errors,
    );
    let instructions = non_empty_string(
        fields.take("instructions"),
        root.key("instructions"),
        errors,
    );
    let tools = tools::read(fields.take("tools"), root.key("tools"), errors);
    let choice = fields.take("tool_choice");
    let tool_choice = tools::choice(choice, root.key("tool_choice"), &tools, errors);
    let sampling = sampling::read(&mut fields, root, errors);
    let context = context(fields.take("context"), root.key("context"), errors);
    let wait = fields.take("tool_wait_s");
    let tool_wait_s = integer(wait, root.key("tool_wait_s"), 0..=TOOL_WAIT_S_MAX, errors);
    let class = one_of(
        fields.take("priority"),
        root.key("priority"),
        &Class::ALL.map(|class| (class.as_str(), class)),
        errors,
    );
    let if_busy = if_busy(fields.take("if_busy"), session.is_some(), errors);
    let expires = fields.take("expires_in_s");
    let expires_in_s = integer(
        expires,
        root.key("expires_in_s"),
        1..=EXPIRES_IN_S_MAX,
        errors,
    );
    let metadata = metadata::read(fields.take("metadata"), root.key("metadata"), errors);
    let extra = fields.take("extra_body");
    let extra_body = extra_body(extra, root.key("extra_body"), errors);
    fields.refuse_unknown(FIELDS, errors);

    let input = input?;
    let is_tool_results = messages::is_tool_results(&input);
    if is_tool_results && session.is_none() {
        let error_message = "is required when the input consists of tool results";
        errors.add(root.key("session_id"), error_message);
    }
    Some(Submission {
        request: Request {
            v: DocumentVersion::FIRST,
            input,
            instructions,
            tools,
            tool_choice,
            response_format: sampling.response_format,
            reasoning_effort: sampling.reasoning_effort,
            temperature: sampling.temperature,
            top_p: sampling.top_p,
            stop: sampling.stop,
            max_output_tokens: sampling.max_output_tokens,
            context,
            tool_wait_s: tool_wait_s.unwrap_or(TOOL_WAIT_S_DEFAULT),
            extra_body: extra_body.unwrap_or_default(),
            unknown: UnknownFields::NONE,
        },
        session,
        model: model?,
        class: class.unwrap_or_default(),
        if_busy,
        is_tool_results,
        expires_in_ms: u64::from(expires_in_s.unwrap_or(EXPIRES_IN_S_DEFAULT)) * 1_000,
        metadata,
    })
}

/// The fields that go to the provider as they are. The workers have the same rule.
fn extra_body(
    value: Option<Value>,
    path: FieldPath<'_>,
    errors: &mut FieldErrors,
) -> Option<Map<String, Value>> {
    let fields = opaque_object(value, path, errors)?;
    for (name, value) in &fields {
        if let Some(why) = extra_body_refusal(name, value) {
            errors.add(path.key(name), format_args!("must be absent: {why}"));
        }
    }
    Some(fields)
}

fn session_id(
    value: Option<Value>,
    path: FieldPath<'_>,
    errors: &mut FieldErrors,
) -> Option<SessionId> {
    let value = value?;
    match SessionId::parse(value.as_str().unwrap_or_default()) {
        Ok(session) => Some(session),
        Err(error) => {
            errors.add(path, format_args!("must be {}", error.allowed));
            None
        }
    }
}

fn model(
    value: Option<Value>,
    path: FieldPath<'_>,
    default: Option<&str>,
    errors: &mut FieldErrors,
) -> Option<String> {
    let Some(value) = value else {
        if default.is_none() {
            let error_message =
                "is required, because this gateway has no default model; FOREBAY_MODEL sets one";
            errors.add(path, error_message);
        }
        return default.map(str::to_owned);
    };
    match value {
        Value::String(model)
            if (1..=MODEL_CHARS_MAX).contains(&model.len())
                && model.trim().len() == model.len()
                && model.bytes().all(|byte| (0x20..=0x7e).contains(&byte)) =>
        {
            Some(model)
        }
        _ => {
            let error_message = format_args!(
                "must be a string of 1 to {MODEL_CHARS_MAX} printable ASCII characters without a space at either end"
            );
            errors.add(path, error_message);
            None
        }
    }
}

fn if_busy(value: Option<Value>, has_session: bool, errors: &mut FieldErrors) -> IfBusy {
    let root = FieldPath::Root;
    let path = root.key("if_busy");
    let words = [
        ("enqueue", IfBusy::Enqueue),
        ("reject", IfBusy::Reject),
        ("rollback", IfBusy::Rollback),
        ("interrupt", IfBusy::Interrupt),
    ];
    let if_busy = one_of(value, path, &words, errors).unwrap_or_default();
    if if_busy != IfBusy::Enqueue && !has_session {
        errors.add(path, "must be enqueue when there is no session_id");
    }
    if_busy
}

fn context(value: Option<Value>, path: FieldPath<'_>, errors: &mut FieldErrors) -> ContextBounds {
    let object = value.and_then(|value| Object::new(value, path, errors));
    let Some(mut fields) = object else {
        return ContextBounds::default();
    };
    let turns = fields.take("max_turns");
    let tokens = fields.take("max_input_tokens");
    let context = ContextBounds {
        max_turns: integer(turns, path.key("max_turns"), 1..=CONTEXT_TURNS_MAX, errors),
        max_input_tokens: integer(
            tokens,
            path.key("max_input_tokens"),
            1..=CONTEXT_TOKENS_MAX,
            errors,
        ),
        unknown: UnknownFields::NONE,
    };
    fields.refuse_unknown("max_turns, max_input_tokens", errors);
    context
}
