//! What a client has set for a session: attributes, which Forebay only keeps, and defaults for the jobs of the session.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    document::{self, Document, DocumentVersion, ReadError, UnknownFields},
    job::{ContextBounds, Request, Tool},
};

/// The attributes of a session: an object that the client chooses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SessionAttributes {
    /// The version of the document's form.
    #[serde(default)]
    pub v: DocumentVersion,
    /// The client's object.
    pub values: Map<String, Value>,
    /// Fields that this release does not know.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

impl Document for SessionAttributes {
    const NAME: &'static str = "attributes of a session";

    fn version(&self) -> DocumentVersion {
        self.v
    }
}

/// The defaults of a session: what its jobs use for the fields that their submits leave out. The default model is not in this
/// document, because the gateway needs the model for each submit without one, and tools can be large.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SessionDefaults {
    /// The version of the document's form.
    #[serde(default)]
    pub v: DocumentVersion,
    /// Instructions to the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// Tools that the model may call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Tool>,
    /// How much of the session is sent to the provider.
    #[serde(default, skip_serializing_if = "is_unset")]
    pub context: ContextBounds,
    /// Fields that this release does not know.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

fn is_unset(context: &ContextBounds) -> bool {
    *context == ContextBounds::default()
}

impl Document for SessionDefaults {
    const NAME: &'static str = "defaults of a session";

    fn version(&self) -> DocumentVersion {
        self.v
    }
}

impl SessionDefaults {
    /// Sets the fields that a job's request leaves out to the defaults. A field that the request has stays as it is: nothing of the
    /// default is merged into it.
    pub fn apply_to(self, request: &mut Request) {
        if request.instructions.is_none() {
            request.instructions = self.instructions;
        }
        if request.tools.is_empty() {
            request.tools = self.tools;
        }
        if is_unset(&request.context) {
            request.context = self.context;
        }
    }
}

/// The settings of a session.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionSettings {
    /// The attributes.
    pub attributes: SessionAttributes,
    /// The model of a job whose submit names none.
    pub model: Option<String>,
    /// The other defaults.
    pub defaults: SessionDefaults,
}

/// The settings of a session as they are stored. What is not set is `None`, and takes no space.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredSettings {
    /// The [`SessionAttributes`] as JSON.
    pub attributes: Option<String>,
    /// The default model.
    pub model: Option<String>,
    /// The [`SessionDefaults`] as JSON.
    pub defaults: Option<String>,
}

impl StoredSettings {
    /// The settings as they are stored.
    ///
    /// # Errors
    /// If a document cannot be written as JSON.
    pub fn of(settings: &SessionSettings) -> Result<Self, serde_json::Error> {
        Ok(Self {
            attributes: unless_default(&settings.attributes)?,
            model: settings.model.clone(),
            defaults: unless_default(&settings.defaults)?,
        })
    }

    /// Parses the settings.
    ///
    /// # Errors
    /// [`ReadError`] if this process cannot act on a document.
    pub fn parse(&self) -> Result<SessionSettings, ReadError> {
        Ok(SessionSettings {
            attributes: read_or_default(self.attributes.as_deref())?,
            model: self.model.clone(),
            defaults: read_or_default(self.defaults.as_deref())?,
        })
    }

    /// The bytes of all settings.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let parts = [&self.attributes, &self.model, &self.defaults];
        let bytes = parts.map(|part| part.as_ref().map_or(0, |text| text.len() as u64));
        bytes.iter().sum()
    }
}

fn unless_default<T: Document + Default + PartialEq + Serialize>(
    document: &T,
) -> Result<Option<String>, serde_json::Error> {
    if *document == T::default() {
        return Ok(None);
    }
    serde_json::to_string(document).map(Some)
}

fn read_or_default<T: Document + Default>(json: Option<&str>) -> Result<T, ReadError> {
    json.map_or_else(|| Ok(T::default()), |json| document::read(json.as_bytes()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_that_are_not_set_are_not_stored() {
        let stored = StoredSettings::of(&SessionSettings::default()).unwrap();
        assert_eq!((stored.bytes(), &stored), (0, &StoredSettings::default()));
        assert_eq!(stored.parse().unwrap(), SessionSettings::default());
    }

    #[test]
    fn unknown_fields_are_kept() {
        let stored = StoredSettings {
            attributes: Some(json!({"v": 1, "values": {"a": [1]}, "new": 1}).to_string()),
            model: Some(String::from("m")),
            defaults: Some(json!({"v": 1, "instructions": "x", "new": {"y": 2}}).to_string()),
        };
        let parsed = stored.parse().unwrap();
        assert_eq!(parsed.attributes.values["a"], json!([1]));
        assert_eq!(StoredSettings::of(&parsed).unwrap(), stored);
        let newer = StoredSettings {
            defaults: Some(json!({"v": 2}).to_string()),
            ..stored
        };
        assert!(matches!(newer.parse(), Err(ReadError::Newer(_))));
    }

    #[test]
    fn a_request_keeps_the_fields_that_it_has() {
        let defaults = SessionDefaults {
            instructions: Some(String::from("default")),
            context: ContextBounds {
                max_turns: Some(3),
                ..ContextBounds::default()
            },
            ..SessionDefaults::default()
        };
        let mut request = Request::default();
        defaults.clone().apply_to(&mut request);
        assert_eq!(request.instructions.as_deref(), Some("default"));
        assert_eq!(request.context.max_turns, Some(3));

        let own = ContextBounds {
            max_input_tokens: Some(9),
            ..ContextBounds::default()
        };
        let mut request = Request {
            instructions: Some(String::from("own")),
            context: own.clone(),
            ..Request::default()
        };
        defaults.apply_to(&mut request);
        assert_eq!(request.instructions.as_deref(), Some("own"));
        assert_eq!(request.context, own);
    }
}
