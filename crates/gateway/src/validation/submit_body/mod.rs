//! What the body of a submit may hold: its fields as Rust types, with the bounds of each.
//!
//! This is the only definition. `schema` derives the JSON Schema of these types. The same schema validates each body and
//! is published in the OpenAPI document. A doc comment here is a description there. What a schema cannot express is in
//! `rules`, and the description of the field states it too.

mod content;
mod message;
mod opaque;
mod reply;
mod text_or;
mod tool;
mod unused;
mod whole_number;

use forebay_shared::{
    class::Class,
    document::UnknownFields,
    ids::{SESSION_ID_ALLOWED, SESSION_ID_BYTES_MAX},
    job::ContextBounds,
    lane::IfBusy,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

pub(super) use self::{
    content::PARTS_MAX,
    message::{MESSAGES_MAX, Turns},
    opaque::{Opaque, OpaqueValues},
    tool::Tool,
    whole_number::whole_number,
};
use self::{
    message::Input,
    reply::{ReasoningEffort, ResponseFormat, Stop},
    tool::ToolChoice,
};

/// The default of `tool_wait_s`: how long a session waits for tool results, in seconds.
pub(super) const TOOL_WAIT_S_DEFAULT: u32 = 60;
const TOOL_WAIT_S_MAX: u32 = 3_600;
/// The default of `expires_in_s`: how long after its submit a job expires, in seconds. This is one day.
pub(super) const EXPIRES_IN_S_DEFAULT: u32 = 86_400;
/// One week, in seconds.
const EXPIRES_IN_S_MAX: u32 = 604_800;
pub(super) const MODEL_CHARS_MAX: usize = 200;
pub(super) const MODEL_ALLOWED: &str =
    "a string of 1 to 200 printable ASCII characters without a space at either end";
const CONTEXT_TURNS_MAX: u32 = 10_000;
const CONTEXT_TOKENS_MAX: u32 = 100_000_000;
pub(super) const TOOLS_MAX: usize = 128;
const OUTPUT_TOKENS_MAX: u32 = 1_000_000;
const METADATA_KEYS_MAX: usize = 16;
const METADATA_KEY_CHARS_MAX: usize = 64;
const METADATA_VALUE_CHARS_MAX: usize = 512;

/// A job to submit. A field that is null counts as absent. All values together may have as many bytes as the gateway
/// accepts in a body.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Submit")]
pub(super) struct SubmitBody {
    /// The new messages: one text from the user, or messages in the form of OpenAI's chat messages. If the first message
    /// has the role `tool`, all must have it, and `session_id` is required. Required, except with `replace_from_turn`.
    pub(super) input: Option<Input>,
    /// The conversation that the job belongs to. At most 200 bytes of UTF-8. Required if the input consists of tool results.
    #[schemars(
        length(min = 1, max = SESSION_ID_BYTES_MAX),
        regex(pattern = r"^[^\x00-\x1f\x7f-\x9f]+$"),
        extend("not" = {"enum": [".", ".."]}, "x-allowed" = SESSION_ID_ALLOWED)
    )]
    pub(super) session_id: Option<String>,
    /// The number of a turn of the session, as `GET /v1/sessions/{id}` shows it. The input and the reply replace this turn and all later
    /// ones once the job completes; if it fails, the session stays as it is. With an `input` this edits a message. Without an `input`, the
    /// model answers the previous turn again. Needs a `session_id`; not allowed with tool results. If the last reply calls tools, the
    /// job waits for their results like other messages, except with `if_busy` `rollback`.
    #[serde(default, deserialize_with = "whole_number")]
    #[schemars(range(min = 0, max = u32::MAX))]
    pub(super) replace_from_turn: Option<u32>,
    /// The model's name, as the providers file routes it. Default: the model of the session's `defaults`, then the gateway's
    /// (`FOREBAY_MODEL`). Required if there is neither.
    #[schemars(
        length(min = 1, max = MODEL_CHARS_MAX),
        regex(pattern = "^[!-~]([ -~]*[!-~])?$"),
        extend("x-allowed" = MODEL_ALLOWED)
    )]
    pub(super) model: Option<String>,
    /// Instructions to the model for this job only; not kept in the session. Default: those of the session's `defaults`.
    #[schemars(length(min = 1))]
    pub(super) instructions: Option<String>,
    /// Tools that the model may call. Their names must differ. Default: those of the session's `defaults`, also for an empty list.
    #[schemars(length(max = TOOLS_MAX))]
    pub(super) tools: Option<Vec<Tool>>,
    /// Whether the model must call a tool, and which. `required` needs at least one tool; a named function must be one of
    /// the tools.
    pub(super) tool_choice: Option<ToolChoice>,
    /// The form of the reply.
    pub(super) response_format: Option<ResponseFormat>,
    /// How long a reasoning model should think.
    pub(super) reasoning_effort: Option<ReasoningEffort>,
    /// The sampling temperature.
    #[schemars(range(min = 0, max = 2))]
    pub(super) temperature: Option<f64>,
    /// The share of the most likely tokens to sample from.
    #[schemars(range(max = 1), extend("exclusiveMinimum" = 0))]
    pub(super) top_p: Option<f64>,
    /// Texts at which the reply ends.
    pub(super) stop: Option<Stop>,
    /// The most tokens of the reply.
    #[serde(default, deserialize_with = "whole_number")]
    #[schemars(range(min = 1, max = OUTPUT_TOKENS_MAX))]
    pub(super) max_output_tokens: Option<u32>,
    /// How much of the session is sent to the provider. Default: the `context` of the session's `defaults`.
    pub(super) context: Option<Context>,
    /// How long the session waits for tool results after this job's reply calls tools.
    #[serde(default, deserialize_with = "whole_number")]
    #[schemars(range(min = 0, max = TOOL_WAIT_S_MAX), extend("default" = TOOL_WAIT_S_DEFAULT, "x-unit" = "seconds"))]
    pub(super) tool_wait_s: Option<u32>,
    /// How urgent the job is. Default: `interactive`.
    pub(super) priority: Option<Class>,
    /// What happens if the session has live jobs. Default: `enqueue`, which is the only choice without a `session_id`.
    pub(super) if_busy: Option<IfBusy>,
    /// How long after its submit the job expires unless it has ended.
    #[serde(default, deserialize_with = "whole_number")]
    #[schemars(range(min = 1, max = EXPIRES_IN_S_MAX), extend("default" = EXPIRES_IN_S_DEFAULT, "x-unit" = "seconds"))]
    pub(super) expires_in_s: Option<u32>,
    /// Texts that responses return unchanged.
    #[schemars(extend(
        "maxProperties" = METADATA_KEYS_MAX,
        "propertyNames" = {"minLength": 1, "maxLength": METADATA_KEY_CHARS_MAX},
        "additionalProperties" = {"type": "string", "maxLength": METADATA_VALUE_CHARS_MAX}
    ))]
    pub(super) metadata: Option<Map<String, Value>>,
    /// Fields that go into the provider's request unchanged. Not `messages`, `contents` or `model`, because the job's own
    /// fields set them. `stream` may only be false. Nested at most 64 levels deep.
    #[serde(default)]
    #[schemars(extend("type" = ["object", "null"]))]
    pub(super) extra_body: Opaque,
}

/// How much of the session is sent to the provider.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Context {
    /// The most turns, the input included.
    #[serde(default, deserialize_with = "whole_number")]
    #[schemars(range(min = 1, max = CONTEXT_TURNS_MAX))]
    pub(super) max_turns: Option<u32>,
    /// The most tokens of turns, instructions and tools, estimated from the provider's earlier counts.
    #[serde(default, deserialize_with = "whole_number")]
    #[schemars(range(min = 1, max = CONTEXT_TOKENS_MAX))]
    pub(super) max_input_tokens: Option<u32>,
}

impl Context {
    /// The context as it is stored.
    pub(super) fn stored(self) -> ContextBounds {
        ContextBounds {
            max_turns: self.max_turns,
            max_input_tokens: self.max_input_tokens,
            unknown: UnknownFields::NONE,
        }
    }
}
