//! The ids of jobs, tenants, sessions and processes, and the keys of lanes.
//!
//! Each id is checked when it is created. So an id may go into a key, a log line or a header without another check.
//! Clones of a [`TenantId`], [`SessionId`] or [`ProcessId`] share one text, because these ids are cloned often.

mod job_id;
mod lane_key;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::{
    job_id::{JOB_ID_PATTERN, JobId},
    lane_key::LaneKey,
};

/// An id that does not have the form of its kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} must be {allowed}")]
pub struct InvalidId {
    /// The kind of the id.
    pub kind: &'static str,
    /// The form that is allowed.
    pub allowed: &'static str,
}

const NAME_ALLOWED: &str = "1 to 128 characters from A-Z a-z 0-9 . _ : @ -";

fn is_name(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._:@-".contains(&byte))
}

/// The most bytes of a session's id.
pub const SESSION_ID_BYTES_MAX: usize = 200;
/// The form of a session's id, in words.
pub const SESSION_ID_ALLOWED: &str =
    "a string of 1 to 200 bytes of UTF-8 without control characters, and not . or ..";

/// Most texts are valid session ids. `.` and `..` are not, because HTTP clients remove them from paths.
fn is_session_id(text: &str) -> bool {
    (1..=SESSION_ID_BYTES_MAX).contains(&text.len())
        && !matches!(text, "." | "..")
        && !text.chars().any(char::is_control)
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $kind:literal, $is_valid:path, $allowed:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schemars(with = "String")]
        pub struct $type(Arc<str>);

        impl $type {
            /// Checks the form.
            ///
            /// # Errors
            /// [`InvalidId`], which describes the form, for any other text.
            pub fn parse(text: &str) -> Result<Self, InvalidId> {
                if $is_valid(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(InvalidId { kind: $kind, allowed: $allowed })
                }
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $type {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::parse(&text)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                String::from(&*name.0)
            }
        }
    };
}

name! {
    /// The owner of jobs and sessions. An API key belongs to one; without keys, it is always `default`.
    ///
    /// It has 1 to 128 characters from `A-Z a-z 0-9 . _ : @ -`.
    TenantId, "tenant", is_name, NAME_ALLOWED
}
name! {
    /// The id of a conversation. The client chooses it within its tenant.
    ///
    /// It has 1 to 200 bytes of UTF-8 without control characters, and is not `.` or `..`. Two ids are the same if their bytes
    /// are the same: no Unicode normalisation is applied.
    SessionId, "session_id", is_session_id, SESSION_ID_ALLOWED
}
name! {
    /// The id of one process from its start to its end: a gateway, a worker, or both in one.
    ///
    /// It has 1 to 128 characters from `A-Z a-z 0-9 . _ : @ -`.
    ProcessId, "process id", is_name, NAME_ALLOWED
}

impl Default for TenantId {
    fn default() -> Self {
        Self("default".into())
    }
}

impl ProcessId {
    /// A new id. It begins with `role`, so that lists and logs show the kind of process.
    ///
    /// # Panics
    /// If `role` has more than 95 characters, or a character other than `A-Z a-z 0-9 . _ : @ -`.
    #[must_use]
    pub fn fresh(role: &str) -> Self {
        let id = format!("{role}-{}", uuid::Uuid::new_v4().simple());
        Self::parse(&id).expect("the role of a process is a valid name")
    }
}
