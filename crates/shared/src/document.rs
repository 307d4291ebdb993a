//! Stored documents across releases: their version, and the fields that this release does not know.
//!
//! In a rolling upgrade processes of two releases work on the same documents. A newer release may add a
//! field at any time. An older process ignores the field, and keeps it when it writes the document again. A
//! change that an older process must not ignore raises the document's version. An older process does not act
//! on such a document.
//!
//! These types also accept unknown fields of clients. The gateway's validation refuses such fields.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeOwned, MapAccess, Visitor},
};
use serde_json::{Map, Value};

/// Fields of a stored object that this release does not know. They are flattened into that object.
///
/// The map is boxed, so that the value takes only eight bytes. Most objects have no unknown fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct UnknownFields(Option<Box<Map<String, Value>>>);

impl UnknownFields {
    /// No unknown fields.
    pub const NONE: Self = Self(None);

    /// Whether there are no unknown fields.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The names of the fields.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .flat_map(|fields| fields.keys())
            .map(String::as_str)
    }

    /// The value of a field.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.as_ref()?.get(name)
    }

    /// The version in the field `v`, or [`DocumentVersion::FIRST`] without such a field.
    #[must_use]
    pub fn version(&self) -> DocumentVersion {
        let v = self.get("v").and_then(Value::as_u64);
        v.map_or(DocumentVersion::FIRST, |v| {
            DocumentVersion(u32::try_from(v).unwrap_or(u32::MAX))
        })
    }

    /// Adds the field `name`, an object of `fields`. Adds nothing if `fields` is empty.
    #[must_use]
    pub fn with_object(mut self, name: &str, fields: Self) -> Self {
        if let Some(fields) = fields.0 {
            let all = self.0.get_or_insert_default();
            all.insert(name.to_owned(), Value::Object(*fields));
        }
        self
    }
}

impl JsonSchema for UnknownFields {
    fn schema_name() -> Cow<'static, str> {
        "UnknownFields".into()
    }

    fn inline_schema() -> bool {
        true
    }

    /// An object that keeps unknown fields may have any further field.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "object", "additionalProperties": true})
    }
}

impl Serialize for UnknownFields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().flat_map(|fields| fields.iter()))
    }
}

impl<'de> Deserialize<'de> for UnknownFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(UnknownFieldsVisitor)
    }
}

struct UnknownFieldsVisitor;

impl<'de> Visitor<'de> for UnknownFieldsVisitor {
    type Value = UnknownFields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<UnknownFields, A::Error> {
        let mut fields = Map::new();
        while let Some((name, value)) = map.next_entry()? {
            fields.insert(name, value);
        }
        Ok(UnknownFields(
            (!fields.is_empty()).then(|| Box::new(fields)),
        ))
    }
}

/// The version of a document's form, stored in its field `v`. A write keeps the version that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DocumentVersion(pub u32);

impl DocumentVersion {
    /// The version of documents without the field.
    pub const FIRST: Self = Self(1);
}

impl Default for DocumentVersion {
    fn default() -> Self {
        Self::FIRST
    }
}

impl fmt::Display for DocumentVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A stored document with a version.
pub trait Document: DeserializeOwned {
    /// The kind of the document, as errors name it.
    const NAME: &'static str;
    /// The newest version that this release may act on.
    const KNOWN: DocumentVersion = DocumentVersion::FIRST;

    /// The version of this document.
    fn version(&self) -> DocumentVersion;
}

/// Why this process cannot act on a document.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A newer release wrote the document.
    #[error(transparent)]
    Newer(#[from] NewerDocument),
    /// The JSON does not have the document's form.
    #[error("a stored {name} cannot be read")]
    Invalid {
        /// The kind of the document.
        name: &'static str,
        /// What is wrong with the JSON.
        source: serde_json::Error,
    },
}

/// A document of a version that only newer releases may act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a stored {name} has version {found}, and this release knows versions up to {known}")]
pub struct NewerDocument {
    /// The kind of the document.
    pub name: &'static str,
    /// The document's version.
    pub found: DocumentVersion,
    /// The newest version that this release may act on.
    pub known: DocumentVersion,
}

/// Reads a document from its JSON.
///
/// # Errors
/// [`ReadError::Newer`] for a higher version than [`Document::KNOWN`], even if the rest of the document is
/// invalid; [`ReadError::Invalid`] for JSON that does not have the document's form.
pub fn read<T: Document>(json: &[u8]) -> Result<T, ReadError> {
    let read = serde_json::from_slice::<T>(json);
    let version = match &read {
        Ok(document) => document.version(),
        Err(_) => version(json),
    };
    if version > T::KNOWN {
        return Err(ReadError::Newer(NewerDocument {
            name: T::NAME,
            found: version,
            known: T::KNOWN,
        }));
    }
    read.map_err(|source| ReadError::Invalid {
        name: T::NAME,
        source,
    })
}

/// Checks that this process can act on a document, without reading the whole document into memory.
///
/// # Errors
/// [`ReadError::Newer`] for a higher version than [`Document::KNOWN`]; [`ReadError::Invalid`] if the version cannot be read.
pub fn check_version<T: Document>(json: &[u8]) -> Result<(), ReadError> {
    let found = serde_json::from_slice::<Versioned>(json).map_err(|source| ReadError::Invalid {
        name: T::NAME,
        source,
    })?;
    if found.v > T::KNOWN {
        return Err(ReadError::Newer(NewerDocument {
            name: T::NAME,
            found: found.v,
            known: T::KNOWN,
        }));
    }
    Ok(())
}

#[derive(Deserialize)]
struct Versioned {
    #[serde(default)]
    v: DocumentVersion,
}

/// The version of an invalid document, or [`DocumentVersion::FIRST`] if its field `v` is invalid too.
fn version(json: &[u8]) -> DocumentVersion {
    serde_json::from_slice(json).map_or(DocumentVersion::FIRST, |Versioned { v }| v)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Sample {
        #[serde(default)]
        v: DocumentVersion,
        known: u32,
        #[serde(flatten)]
        unknown: UnknownFields,
    }

    impl Document for Sample {
        const NAME: &'static str = "sample";
        fn version(&self) -> DocumentVersion {
            self.v
        }
    }

    #[test]
    fn unknown_fields_are_kept_and_take_eight_bytes() {
        let json = json!({"v": 1, "known": 1, "new": {"deep": [1.5, null]}, "newer": 2});
        let sample: Sample = read(json.to_string().as_bytes()).unwrap();
        assert_eq!(sample.unknown.get("newer"), Some(&json!(2)));
        assert_eq!(serde_json::to_value(&sample).unwrap(), json);
        assert_eq!(size_of::<UnknownFields>(), 8);

        let plain: Sample = read(br#"{"known": 1}"#).unwrap();
        assert!(plain.unknown.is_empty());
        assert_eq!(
            serde_json::to_string(&plain).unwrap(),
            r#"{"v":1,"known":1}"#
        );
    }

    #[test]
    fn a_newer_version_is_distinguished_from_an_invalid_document() {
        for newer in [r#"{"v": 2, "known": 1}"#, r#"{"known": "text", "v": 2}"#] {
            let error = read::<Sample>(newer.as_bytes()).unwrap_err();
            let ReadError::Newer(newer) = error else {
                panic!("the version should be too new: {error:?}");
            };
            assert_eq!(
                (newer.found, newer.known),
                (DocumentVersion(2), DocumentVersion(1))
            );
        }
        for invalid in ["", "{", "[]", "{}", r#"{"v": "x", "known": 1}"#] {
            let error = read::<Sample>(invalid.as_bytes()).unwrap_err();
            assert!(
                matches!(error, ReadError::Invalid { .. }),
                "unexpected error: {error:?}"
            );
        }
    }
}
