//! API keys that the store holds: the document of a key, and its id. The key itself is not stored, only its hash.

use std::{fmt, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    document::{Document, DocumentVersion, UnknownFields},
    ids::{InvalidId, TenantId},
    time::TimeMs,
};

/// The form of an [`ApiKeyId`], as a regular expression.
pub const API_KEY_ID_PATTERN: &str = "^key_[0-9A-Za-z]{16}$";
const ID_PREFIX: &str = "key_";
const ID_RANDOM_CHARS: usize = 16;

/// The id of a stored API key, for lists and logs: `key_` and 16 letters or digits. It is not secret, and it says nothing about the
/// key.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = API_KEY_ID_PATTERN))]
pub struct ApiKeyId(Arc<str>);

impl ApiKeyId {
    /// Checks the form.
    ///
    /// # Errors
    /// [`InvalidId`], which describes the form, for any other text.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let random = text.strip_prefix(ID_PREFIX);
        let is_valid = random.is_some_and(|random| {
            random.len() == ID_RANDOM_CHARS
                && random.bytes().all(|byte| byte.is_ascii_alphanumeric())
        });
        if is_valid {
            Ok(Self(text.into()))
        } else {
            Err(InvalidId {
                kind: "key_id",
                allowed: "key_ and 16 letters or digits",
            })
        }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id as text that clones share.
    #[must_use]
    pub fn shared_text(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl fmt::Display for ApiKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ApiKeyId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        Self::parse(&text)
    }
}

impl From<ApiKeyId> for String {
    fn from(id: ApiKeyId) -> Self {
        Self::from(&*id.0)
    }
}

/// An API key as it is stored. The document is written once and never changed, so its unknown fields stay in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// The version of the document's form. A release that restricts keys in a new way raises it, because an older process would
    /// not apply the restriction.
    #[serde(default)]
    pub v: DocumentVersion,
    /// The key's id.
    pub id: ApiKeyId,
    /// The tenant that the key belongs to.
    pub tenant: TenantId,
    /// What the key may do, as names. A process ignores a name that it does not know.
    pub scopes: Vec<String>,
    /// The SHA-256 hash of the key, in 64 hex digits.
    pub sha256: String,
    /// When the key was made.
    pub created_at: TimeMs,
    /// When the key expires: it is refused from then on. `None` if it never expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<TimeMs>,
    /// A note about the purpose of the key: at most 100 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Fields that this release does not know.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

impl Document for ApiKey {
    const NAME: &'static str = "API key";

    fn version(&self) -> DocumentVersion {
        self.v
    }
}

#[cfg(test)]
mod tests {
    use super::ApiKeyId;

    #[test]
    fn an_id_has_16_letters_or_digits() {
        let id = ApiKeyId::parse("key_0123456789abcDEF").expect("a valid id");
        assert_eq!(id.as_str(), "key_0123456789abcDEF");
        for text in [
            "",
            "key_",
            "key_0123456789abcDE",
            "key_0123456789abcDEFG",
            "key_0123456789abcDE-",
            "kez_0123456789abcDEF",
        ] {
            assert!(ApiKeyId::parse(text).is_err(), "{text}");
        }
    }
}
