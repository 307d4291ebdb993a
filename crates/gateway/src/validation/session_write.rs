//! Parses and validates what a client writes of a session: the whole session, or a change of its settings.

use forebay_shared::{
    ids::SessionId,
    job::{ContextBounds, Tool},
    session::SessionBounds,
    session_settings::{SessionAttributes, SessionDefaults, SessionSettings, StoredSettings},
    turn::Turn,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{
    field_errors::FieldErrors,
    field_path::FieldPath,
    message_rules, rules,
    schema::{self, BodySchema, unreadable},
    session_body::{
        ATTRIBUTES_BYTES_MAX, DEFAULTS_BYTES_MAX, ForkBody, SessionBody, SessionPatchBody,
        stored_tools,
    },
    submit_body::OpaqueValues,
};
use crate::problem::Problem;

/// A session to write as a whole.
#[derive(Debug)]
pub(crate) struct SessionWrite {
    /// The turns, each as JSON.
    pub(crate) turns: Vec<String>,
    pub(crate) settings: StoredSettings,
}

/// A valid change of a session's settings, by the rules of JSON Merge Patch (RFC 7396). What is `None` does not change.
#[derive(Debug)]
pub(crate) struct SettingsPatch {
    /// The members that change. `Some(None)` removes all attributes.
    attributes: Option<Option<Map<String, Value>>>,
    /// Whether all defaults are removed, including those that this release does not know.
    removes_defaults: bool,
    model: Option<Option<String>>,
    instructions: Option<Option<String>>,
    tools: Option<Vec<Tool>>,
    /// The bounds that change. `Some(None)` removes all bounds.
    context: Option<Option<Map<String, Value>>>,
}

/// Parses and validates a session to write.
pub(crate) fn session_write(body: &[u8], bounds: &SessionBounds) -> Result<SessionWrite, Problem> {
    let (body, mut values) = read::<SessionBody>(body, &schema::SESSION)?;
    let attributes = values.take_object(body.attributes).unwrap_or_default();
    let defaults = body.defaults.unwrap_or_default();
    let settings = SessionSettings {
        attributes: SessionAttributes {
            values: attributes,
            ..SessionAttributes::default()
        },
        model: defaults.model,
        defaults: SessionDefaults {
            instructions: defaults.instructions,
            tools: stored_tools(defaults.tools, &mut values),
            context: defaults.context.unwrap_or_default().stored(),
            ..SessionDefaults::default()
        },
    };
    let turns = body.turns.map(|turns| turns.into_turns(&mut values));
    Ok(SessionWrite {
        settings: bounded(&settings)?,
        turns: bounded_turns(turns.unwrap_or_default(), bounds)?,
    })
}

/// Parses and validates a change of settings.
pub(crate) fn settings_patch(body: &[u8]) -> Result<SettingsPatch, Problem> {
    let value = schema::SESSION_PATCH.parse_json(body)?;
    let removes_attributes = value.get("attributes").is_some_and(Value::is_null);
    let defaults = value.get("defaults");
    let removes_defaults = defaults.is_some_and(Value::is_null);
    let member = |name: &str| defaults.and_then(|defaults| defaults.get(name));
    let [has_model, has_instructions, has_tools] =
        ["model", "instructions", "tools"].map(|name| member(name).is_some());
    let context = member("context").map(|context| context.as_object().cloned());
    let (body, mut values) = checked::<SessionPatchBody>(value, &schema::SESSION_PATCH)?;
    let attributes = values.take_object(body.attributes).map(Some);
    let defaults = body.defaults.unwrap_or_default();
    Ok(SettingsPatch {
        attributes: attributes.or(removes_attributes.then_some(None)),
        removes_defaults,
        model: has_model.then_some(defaults.model),
        instructions: has_instructions.then_some(defaults.instructions),
        tools: has_tools.then(|| stored_tools(defaults.tools, &mut values)),
        context,
    })
}

impl SettingsPatch {
    /// The settings after the change. Fields that this release does not know stay.
    pub(crate) fn apply(&self, settings: &SessionSettings) -> Result<StoredSettings, Problem> {
        let mut settings = settings.clone();
        match &self.attributes {
            Some(Some(patch)) => merge(&mut settings.attributes.values, patch),
            Some(None) => settings.attributes.values.clear(),
            None => {}
        }
        let defaults = &mut settings.defaults;
        if self.removes_defaults {
            settings.model = None;
            *defaults = SessionDefaults::default();
        }
        if let Some(model) = &self.model {
            settings.model.clone_from(model);
        }
        if let Some(instructions) = &self.instructions {
            defaults.instructions.clone_from(instructions);
        }
        if let Some(tools) = &self.tools {
            defaults.tools.clone_from(tools);
        }
        match &self.context {
            Some(Some(patch)) => change_context(&mut defaults.context, patch),
            Some(None) => defaults.context = ContextBounds::default(),
            None => {}
        }
        bounded(&settings)
    }
}

/// Applies a valid change of the bounds.
fn change_context(context: &mut ContextBounds, patch: &Map<String, Value>) {
    let number = |value: &Value| {
        let whole = value.as_f64().filter(|number| number.fract() == 0.0);
        whole.and_then(|number| format!("{number:.0}").parse().ok())
    };
    if let Some(turns) = patch.get("max_turns") {
        context.max_turns = number(turns);
    }
    if let Some(tokens) = patch.get("max_input_tokens") {
        context.max_input_tokens = number(tokens);
    }
}

/// Merges a patch into an object (RFC 7396, section 2).
fn merge(target: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (name, value) in patch {
        match value {
            Value::Null if target.contains_key(name) => drop(target.shift_remove(name)),
            Value::Null => {}
            Value::Object(patch) => {
                let member = target.entry(name.clone()).or_insert(Value::Null);
                if !member.is_object() {
                    *member = Value::Object(Map::new());
                }
                if let Value::Object(member) = member {
                    merge(member, patch);
                }
            }
            value => drop(target.insert(name.clone(), value.clone())),
        }
    }
}

/// A new session to make from another one.
#[derive(Default, Debug)]
pub(crate) struct Fork {
    pub(crate) id: Option<SessionId>,
    /// The number of the last turn to take.
    pub(crate) up_to_turn: Option<u64>,
}

/// Parses and validates a fork.
pub(crate) fn fork(body: &[u8]) -> Result<Fork, Problem> {
    let (body, _) = read::<ForkBody>(body, &schema::SESSION_FORK)?;
    let id = body.id.as_deref().map(SessionId::parse).transpose();
    let id =
        id.map_err(|error| Problem::invalid_field("id", format!("must be {}", error.allowed)))?;
    Ok(Fork {
        id,
        up_to_turn: body.up_to_turn.map(u64::from),
    })
}

/// Parses a body and checks it against its schema and the rules.
fn read<T: DeserializeOwned>(
    body: &[u8],
    schema: &BodySchema,
) -> Result<(T, OpaqueValues), Problem> {
    checked(schema.parse_json(body)?, schema)
}

/// Checks parsed JSON against its schema and the rules, and reads it.
fn checked<T: DeserializeOwned>(
    mut value: Value,
    schema: &BodySchema,
) -> Result<(T, OpaqueValues), Problem> {
    let mut errors = FieldErrors::default();
    schema.check(&value, &mut errors);
    let root = FieldPath::Root;
    if let Some(turns) = value.get("turns").and_then(Value::as_array) {
        message_rules::check_turns(turns, root.key("turns"), &mut errors);
    }
    if let Some(defaults) = value.get("defaults").and_then(Value::as_object) {
        rules::check_tools(defaults, root.key("defaults"), &mut errors);
    }
    errors.into_result()?;
    let mut values = OpaqueValues::default();
    schema.move_opaque(&mut value, &mut values);
    let body = T::deserialize(value).map_err(|error| unreadable(&error))?;
    Ok((body, values))
}

/// The turns as JSON, if a session may have them.
fn bounded_turns(turns: Vec<Turn>, bounds: &SessionBounds) -> Result<Vec<String>, Problem> {
    if turns.len() > bounds.turns_max {
        let message = format!(
            "must be at most {} turns; FOREBAY_SESSION_TURNS_MAX sets this bound",
            bounds.turns_max
        );
        return Err(Problem::invalid_field("turns", message));
    }
    let mut bytes = 0;
    let mut written = Vec::with_capacity(turns.len());
    for turn in turns {
        let json = serde_json::to_string(&turn).map_err(|error| unreadable(&error))?;
        bytes += json.len();
        if bytes > bounds.turns_bytes_max {
            let message = format!("must have at most {} bytes as JSON", bounds.turns_bytes_max);
            return Err(Problem::invalid_field("turns", message));
        }
        written.push(json);
    }
    Ok(written)
}

/// The settings as they are stored, if they are within their bounds.
fn bounded(settings: &SessionSettings) -> Result<StoredSettings, Problem> {
    let stored = StoredSettings::of(settings).map_err(|error| unreadable(&error))?;
    let bytes = |part: &Option<String>| part.as_ref().map_or(0, String::len);
    let mut errors = FieldErrors::default();
    let root = FieldPath::Root;
    for (name, bytes, bytes_max) in [
        (
            "attributes",
            bytes(&stored.attributes),
            ATTRIBUTES_BYTES_MAX,
        ),
        (
            "defaults",
            bytes(&stored.model) + bytes(&stored.defaults),
            DEFAULTS_BYTES_MAX,
        ),
    ] {
        if bytes > bytes_max {
            let message = format_args!("must have at most {bytes_max} bytes as JSON");
            errors.add(root.key(name), message);
        }
    }
    errors.into_result()?;
    Ok(stored)
}

#[cfg(test)]
mod tests;
