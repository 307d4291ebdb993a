//! A submit's body: JSON or not, and its fields.

use forebay_shared::{
    class::Class,
    ids::SessionId,
    job::{ContextBounds, Request},
    lane::IfBusy,
};
use serde_json::{Map, Value};

use super::{
    faults::Faults,
    fields::{Object, any_text, opaque_object, whole, word},
    messages, metadata,
    path::Path,
    sampling, tools,
};
use crate::problem::{Code, Problem};

const FIELDS: &str = "input, session_id, model, instructions, tools, tool_choice, response_format, \
    reasoning_effort, temperature, top_p, stop, max_output_tokens, context, tool_wait_s, priority, \
    if_busy, expires_in_s, metadata, extra_body";

/// How long a session waits for tool results unless the client says otherwise, in seconds.
const TOOL_WAIT_S: u32 = 60;
const TOOL_WAIT_S_MAX: u32 = 3_600;
/// How long somebody wants a job unless the client says otherwise, in seconds: a day.
const EXPIRES_IN_S: u32 = 86_400;
/// A week.
const EXPIRES_IN_S_MAX: u32 = 604_800;
const MODEL_CHARS_MAX: usize = 200;
const CONTEXT_TURNS_MAX: u32 = 10_000;
const CONTEXT_TOKENS_MAX: u32 = 100_000_000;

/// A submit that is as it must be.
#[derive(Debug)]
pub(crate) struct Submission {
    pub(crate) request: Request,
    pub(crate) session: Option<SessionId>,
    pub(crate) model: String,
    pub(crate) class: Class,
    pub(crate) if_busy: IfBusy,
    /// Whether its input is the results of tools.
    pub(crate) tool_results: bool,
    pub(crate) expires_in_ms: u64,
    pub(crate) metadata: Map<String, Value>,
}

/// Reads a submit. `default_model` is asked where none is named.
pub(crate) fn submission(body: &[u8], default_model: Option<&str>) -> Result<Submission, Problem> {
    let value = parse(body)?;
    let mut faults = Faults::default();
    let submission = read(value, default_model, &mut faults);
    faults.verdict(submission)
}

fn parse(body: &[u8]) -> Result<Value, Problem> {
    serde_json::from_slice(body).map_err(|error| {
        // Its text has a place and a reason, and nothing of what the client wrote.
        let reason = error.to_string();
        let detail = if reason.starts_with("recursion limit exceeded") {
            String::from("the body is nested too deeply; 127 levels are allowed")
        } else {
            reason
        };
        Problem::new(Code::InvalidJson, detail)
    })
}

fn read(value: Value, default_model: Option<&str>, faults: &mut Faults) -> Option<Submission> {
    let root = Path::Root;
    let mut fields = Object::of(value, root, faults)?;

    let input = fields.require("input", faults);
    let input = messages::read(input, root.key("input"), faults);
    let session = session_id(fields.take("session_id"), root.key("session_id"), faults);
    let model = model(
        fields.take("model"),
        root.key("model"),
        default_model,
        faults,
    );
    let instructions = any_text(
        fields.take("instructions"),
        root.key("instructions"),
        faults,
    );
    let tools = tools::read(fields.take("tools"), root.key("tools"), faults);
    let choice = fields.take("tool_choice");
    let tool_choice = tools::choice(choice, root.key("tool_choice"), &tools, faults);
    let sampling = sampling::read(&mut fields, root, faults);
    let context = context(fields.take("context"), root.key("context"), faults);
    let wait = fields.take("tool_wait_s");
    let tool_wait_s = whole(wait, root.key("tool_wait_s"), 0..=TOOL_WAIT_S_MAX, faults);
    let class = word(
        fields.take("priority"),
        root.key("priority"),
        &Class::ALL.map(|class| (class.as_str(), class)),
        faults,
    );
    let if_busy = if_busy(fields.take("if_busy"), session.is_some(), faults);
    let expires = fields.take("expires_in_s");
    let expires_in_s = whole(
        expires,
        root.key("expires_in_s"),
        1..=EXPIRES_IN_S_MAX,
        faults,
    );
    let metadata = metadata::read(fields.take("metadata"), root.key("metadata"), faults);
    let extra = fields.take("extra_body");
    let extra_body = opaque_object(extra, root.key("extra_body"), faults);
    fields.finish(FIELDS, faults);

    let input = input?;
    let tool_results = messages::are_tool_results(&input);
    if tool_results && session.is_none() {
        let allowed = "is required when the input is the results of tools";
        faults.add(root.key("session_id"), allowed);
    }
    Some(Submission {
        request: Request {
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
            tool_wait_s: tool_wait_s.unwrap_or(TOOL_WAIT_S),
            extra_body: extra_body.unwrap_or_default(),
        },
        session,
        model: model?,
        class: class.unwrap_or_default(),
        if_busy,
        tool_results,
        expires_in_ms: u64::from(expires_in_s.unwrap_or(EXPIRES_IN_S)) * 1_000,
        metadata,
    })
}

fn session_id(value: Option<Value>, at: Path<'_>, faults: &mut Faults) -> Option<SessionId> {
    let value = value?;
    match SessionId::parse(value.as_str().unwrap_or_default()) {
        Ok(session) => Some(session),
        Err(error) => {
            faults.add(at, format_args!("must be {}", error.allowed));
            None
        }
    }
}

fn model(
    value: Option<Value>,
    at: Path<'_>,
    default: Option<&str>,
    faults: &mut Faults,
) -> Option<String> {
    let Some(value) = value else {
        if default.is_none() {
            faults.add(at, "is required, as FOREBAY_MODEL names no default");
        }
        return default.map(str::to_owned);
    };
    match value {
        Value::String(model)
            if (1..=MODEL_CHARS_MAX).contains(&model.len())
                && model.trim().len() == model.len()
                && model.bytes().all(|b| (0x20..=0x7e).contains(&b)) =>
        {
            Some(model)
        }
        _ => {
            let allowed =
                "must be a text of 1 to 200 printable ASCII characters without space at its ends";
            faults.add(at, allowed);
            None
        }
    }
}

fn if_busy(value: Option<Value>, has_session: bool, faults: &mut Faults) -> IfBusy {
    let at = Path::Root;
    let words = [
        ("enqueue", IfBusy::Enqueue),
        ("reject", IfBusy::Reject),
        ("rollback", IfBusy::Rollback),
        ("interrupt", IfBusy::Interrupt),
    ];
    let if_busy = word(value, at.key("if_busy"), &words, faults).unwrap_or_default();
    if if_busy != IfBusy::Enqueue && !has_session {
        faults.add(
            at.key("if_busy"),
            "must be enqueue when there is no session_id",
        );
    }
    if_busy
}

fn context(value: Option<Value>, at: Path<'_>, faults: &mut Faults) -> ContextBounds {
    let object = value.and_then(|value| Object::of(value, at, faults));
    let Some(mut fields) = object else {
        return ContextBounds::default();
    };
    let turns = fields.take("max_turns");
    let tokens = fields.take("max_input_tokens");
    let context = ContextBounds {
        max_turns: whole(turns, at.key("max_turns"), 1..=CONTEXT_TURNS_MAX, faults),
        max_input_tokens: whole(
            tokens,
            at.key("max_input_tokens"),
            1..=CONTEXT_TOKENS_MAX,
            faults,
        ),
    };
    fields.finish("max_turns, max_input_tokens", faults);
    context
}
