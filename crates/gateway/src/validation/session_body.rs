//! What the bodies of requests about sessions may hold: their fields as Rust types, with the bounds of each. As in `submit_body`, this is
//! the only definition.

use forebay_shared::{
    ids::{SESSION_ID_ALLOWED, SESSION_ID_BYTES_MAX},
    job,
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::submit_body::{
    Context, MODEL_ALLOWED, MODEL_CHARS_MAX, Opaque, OpaqueValues, TOOLS_MAX, Tool, Turns,
    whole_number,
};

/// The most bytes of a session's attributes as JSON: 16 KiB.
pub(crate) const ATTRIBUTES_BYTES_MAX: usize = 16 * 1024;
/// The most bytes of a session's defaults as JSON: 256 KiB.
pub(crate) const DEFAULTS_BYTES_MAX: usize = 256 * 1024;

/// A session to create, or to replace as a whole. A field that is absent or null becomes empty.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SessionPut")]
pub(super) struct SessionBody {
    /// The turns of the conversation, oldest first: messages in the form of OpenAI's chat messages, of any role. At most
    /// `FOREBAY_SESSION_TURNS_MAX` turns, and 32 MiB as JSON.
    pub(super) turns: Option<Turns>,
    /// Any object, which responses return unchanged. At most 16 KiB as JSON, nested at most 64 levels deep.
    #[serde(default)]
    #[schemars(extend("type" = ["object", "null"]))]
    pub(super) attributes: Opaque,
    /// The defaults for fields that submits to the session leave out. At most 256 KiB as JSON.
    pub(super) defaults: Option<DefaultsBody>,
}

/// A change of a session's settings, by the rules of JSON Merge Patch (RFC 7396): a member that is null is removed, objects are merged,
/// and other values replace the earlier ones.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SessionPatch")]
pub(super) struct SessionPatchBody {
    /// The change of the attributes. The changed attributes may have at most 16 KiB as JSON.
    #[serde(default)]
    #[schemars(extend("type" = ["object", "null"]))]
    pub(super) attributes: Opaque,
    /// The change of the defaults. The changed defaults may have at most 256 KiB as JSON. A list of tools replaces the earlier one.
    pub(super) defaults: Option<DefaultsBody>,
}

/// A new session to make from the turns and the settings of another one.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SessionFork")]
pub(super) struct ForkBody {
    /// The id of the new session, which must not exist. At most 200 bytes of UTF-8. Default: a random id.
    #[schemars(
        length(min = 1, max = SESSION_ID_BYTES_MAX),
        regex(pattern = r"^[^\x00-\x1f\x7f-\x9f]+$"),
        extend("not" = {"enum": [".", ".."]}, "x-allowed" = SESSION_ID_ALLOWED)
    )]
    pub(super) id: Option<String>,
    /// The number of the last turn to take. Default: all turns.
    #[serde(default, deserialize_with = "whole_number")]
    #[schemars(range(min = 0, max = u32::MAX))]
    pub(super) up_to_turn: Option<u32>,
}

/// The defaults for fields that submits to a session leave out.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SessionDefaults")]
pub(super) struct DefaultsBody {
    /// The model's name, as the providers file routes it.
    #[schemars(
        length(min = 1, max = MODEL_CHARS_MAX),
        regex(pattern = "^[!-~]([ -~]*[!-~])?$"),
        extend("x-allowed" = MODEL_ALLOWED)
    )]
    pub(super) model: Option<String>,
    /// Instructions to the model.
    #[schemars(length(min = 1))]
    pub(super) instructions: Option<String>,
    /// Tools that the model may call. Their names must differ.
    #[schemars(length(max = TOOLS_MAX))]
    pub(super) tools: Option<Vec<Tool>>,
    /// How much of the session is sent to the provider. A submit with a `context` of its own uses nothing of this one.
    pub(super) context: Option<Context>,
}

/// The tools as they are stored.
pub(super) fn stored_tools(tools: Option<Vec<Tool>>, values: &mut OpaqueValues) -> Vec<job::Tool> {
    let tools = tools.unwrap_or_default().into_iter();
    tools.map(|tool| tool.stored(values)).collect()
}
