//! What responses show of a session, apart from its turns.

use forebay_shared::{
    ids::SessionId,
    job::{ContextBounds, Tool},
    session::SessionInfo,
    session_settings::SessionSettings,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{problem::Problem, problem_code::ProblemCode, state::ApiState};

/// The fields of a session before its turns.
#[derive(Serialize, JsonSchema)]
pub(super) struct FieldsBefore<'a> {
    id: &'a SessionId,
    #[schemars(extend("const" = "session"))]
    object: &'static str,
}

impl<'a> FieldsBefore<'a> {
    pub(super) const fn of(id: &'a SessionId) -> Self {
        Self {
            id,
            object: "session",
        }
    }
}

/// The fields of a session after its turns.
#[derive(Serialize, JsonSchema)]
pub(super) struct FieldsAfter<'a> {
    /// How many turns the session has.
    turn_count: u64,
    /// In a page only: the number of its last turn, after which the next page begins; null on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_after: Option<Option<u64>>,
    /// The object that a client has set.
    attributes: &'a Map<String, Value>,
    defaults: DefaultsView<'a>,
    #[schemars(extend("format" = "date-time"))]
    created_at: String,
    #[schemars(extend("format" = "date-time"))]
    updated_at: String,
    /// Null while the session has live jobs, because such a session does not expire.
    #[schemars(extend("format" = "date-time"))]
    expires_at: Option<String>,
    live_jobs: usize,
}

/// The defaults for fields that submits to the session leave out. A default that is not set is absent.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ShownSessionDefaults")]
struct DefaultsView<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instructions: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<Map<String, Value>>>")]
    tools: Option<&'a [Tool]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Map<String, Value>>")]
    context: Option<&'a ContextBounds>,
}

impl<'a> FieldsAfter<'a> {
    pub(super) fn of(
        state: &ApiState,
        info: &SessionInfo,
        settings: &'a SessionSettings,
    ) -> FieldsAfter<'a> {
        let SessionSettings {
            attributes,
            model,
            defaults,
        } = settings;
        let tools = defaults.tools.as_slice();
        FieldsAfter {
            turn_count: info.turn_count,
            next_after: None,
            attributes: &attributes.values,
            defaults: DefaultsView {
                model: model.as_deref(),
                instructions: defaults.instructions.as_deref(),
                tools: (!tools.is_empty()).then_some(tools),
                context: Some(&defaults.context)
                    .filter(|context| **context != ContextBounds::default()),
            },
            created_at: state.show(info.created_at),
            updated_at: state.show(info.updated_at),
            expires_at: info.expires_at.map(|time| state.show(time)),
            live_jobs: info.live_jobs,
        }
    }
}

/// A session without its turns.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "SessionWithoutTurns")]
pub(crate) struct SessionSummary<'a> {
    #[serde(flatten)]
    before: FieldsBefore<'a>,
    #[serde(flatten)]
    after: FieldsAfter<'a>,
}

impl<'a> SessionSummary<'a> {
    pub(super) fn of(
        state: &ApiState,
        id: &'a SessionId,
        info: &SessionInfo,
        settings: &'a SessionSettings,
    ) -> Self {
        Self {
            before: FieldsBefore::of(id),
            after: FieldsAfter::of(state, info, settings),
        }
    }
}

/// The fields as JSON.
pub(super) fn json(fields: &impl Serialize) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(fields).map_err(|error| {
        tracing::error!(%error, "a session could not be written as JSON");
        let detail = "the session could not be written as JSON";
        Problem::new(ProblemCode::Internal, detail)
    })
}
