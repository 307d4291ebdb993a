//! The ids of jobs, tenants, sessions and processes, and the keys of lanes.
//!
//! Each id is checked when it is created. So an id may go into a key, a log line or a header without another check.
//! Clones of a [`TenantId`], [`SessionId`] or [`ProcessId`] share one text, because these ids are cloned often.

use std::{fmt, sync::Arc};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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

/// Most texts are session ids. `.` and `..` are not, because HTTP clients remove them from paths.
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

/// The form of a [`JobId`], as a regular expression.
pub const JOB_ID_PATTERN: &str = "^job_[0-9a-f]{34}$";

/// A job's id: `job_`, the partition of its lane in two hex digits, and a UUIDv7 (RFC 9562) in 32 hex digits.
///
/// Ids sort by time within a partition. The keys of a job are computed from its id, because the id contains the partition.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = JOB_ID_PATTERN))]
pub struct JobId {
    partition: u8,
    uuid: uuid::Uuid,
}

impl JobId {
    /// The id of no job.
    pub const NIL: Self = Self {
        partition: 0,
        uuid: uuid::Uuid::nil(),
    };

    /// A new id for a job of this session, or for a job without a session.
    #[must_use]
    pub fn fresh(tenant: &TenantId, session: Option<&SessionId>) -> Self {
        Self::from_uuid(uuid::Uuid::now_v7(), tenant, session)
    }

    /// The id with this UUID, for a job of this session or for a job without a session.
    #[must_use]
    pub fn from_uuid(uuid: uuid::Uuid, tenant: &TenantId, session: Option<&SessionId>) -> Self {
        let partition = match session {
            Some(session) => partition(format!("{tenant}/{session}").as_bytes()),
            None => partition(uuid.as_bytes()),
        };
        Self { partition, uuid }
    }

    /// Reads an id back from its text.
    ///
    /// # Errors
    /// [`InvalidId`] for any text that [`fmt::Display`] does not print.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let invalid = || InvalidId {
            kind: "job id",
            allowed: "job_ and 34 lower-case hex digits",
        };
        let hex = text.strip_prefix("job_").ok_or_else(invalid)?;
        let is_lower_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if hex.len() != 34 || !hex.bytes().all(is_lower_hex) {
            return Err(invalid());
        }
        let partition = u8::from_str_radix(&hex[..2], 16).map_err(|_| invalid())?;
        let uuid = uuid::Uuid::try_parse(&hex[2..]).map_err(|_| invalid())?;
        Ok(Self { partition, uuid })
    }

    /// The id as 17 bytes. The bytes of the UUID come first, so the ids sort by time.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 17] {
        let mut bytes = [self.partition; 17];
        bytes[..16].copy_from_slice(self.uuid.as_bytes());
        bytes
    }

    /// The id of these bytes, in the form that [`Self::to_bytes`] returns.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 17]) -> Self {
        let [uuid @ .., partition] = bytes;
        let uuid = uuid::Uuid::from_bytes(uuid);
        Self { partition, uuid }
    }

    /// The partition of the job's lane, a part of every key of the lane.
    #[must_use]
    pub const fn partition(&self) -> u8 {
        self.partition
    }
}

/// A partition from 0 to 255: the low byte of the CRC-32 (IEEE 802.3), the same in every process and release.
fn partition(bytes: &[u8]) -> u8 {
    let [low, ..] = crc32fast::hash(bytes).to_le_bytes();
    low
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "job_{:02x}{}", self.partition, self.uuid.simple())
    }
}

impl TryFrom<String> for JobId {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, InvalidId> {
        Self::parse(&text)
    }
}

impl From<JobId> for String {
    fn from(id: JobId) -> Self {
        id.to_string()
    }
}

/// The key of a lane: the lane of a session, or the lane of one job without a session.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LaneKey {
    /// The jobs of one session, one at a time.
    Session {
        /// The tenant that owns the session.
        tenant: TenantId,
        /// The session.
        session: SessionId,
    },
    /// One job without a session.
    WithoutSession {
        /// The tenant that owns the job.
        tenant: TenantId,
        /// The job.
        job: JobId,
    },
}

impl LaneKey {
    /// The lane of a job of this session, or of a job without a session.
    #[must_use]
    pub fn of(tenant: &TenantId, session: Option<&SessionId>, job: JobId) -> Self {
        let tenant = tenant.clone();
        match session {
            Some(session) => Self::Session {
                tenant,
                session: session.clone(),
            },
            None => Self::WithoutSession { tenant, job },
        }
    }

    /// The tenant that owns the lane.
    #[must_use]
    pub const fn tenant(&self) -> &TenantId {
        match self {
            Self::Session { tenant, .. } | Self::WithoutSession { tenant, .. } => tenant,
        }
    }

    /// The session of the lane, if it has one.
    #[must_use]
    pub const fn session(&self) -> Option<&SessionId> {
        match self {
            Self::Session { session, .. } => Some(session),
            Self::WithoutSession { .. } => None,
        }
    }

    /// The partition, the hash tag of every key of the lane.
    #[must_use]
    pub fn partition(&self) -> u8 {
        match self {
            Self::Session { tenant, session } => {
                partition(format!("{tenant}/{session}").as_bytes())
            }
            Self::WithoutSession { job, .. } => job.partition(),
        }
    }

    /// Reads a lane's key back from its text.
    ///
    /// # Errors
    /// [`InvalidId`] for any text that [`fmt::Display`] does not print.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let invalid = || InvalidId {
            kind: "lane",
            allowed: "s/TENANT/SESSION or j/TENANT/JOB",
        };
        let mut parts = text.splitn(3, '/');
        let (kind, tenant, name) = (parts.next(), parts.next(), parts.next());
        let (Some(kind), Some(tenant), Some(name)) = (kind, tenant, name) else {
            return Err(invalid());
        };
        let tenant = TenantId::parse(tenant)?;
        match kind {
            "s" => Ok(Self::Session {
                tenant,
                session: SessionId::parse(name)?,
            }),
            "j" => Ok(Self::WithoutSession {
                tenant,
                job: JobId::parse(name)?,
            }),
            _ => Err(invalid()),
        }
    }
}

impl fmt::Display for LaneKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session { tenant, session } => write!(f, "s/{tenant}/{session}"),
            Self::WithoutSession { tenant, job } => write!(f, "j/{tenant}/{job}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{JobId, LaneKey, SessionId, TenantId};

    #[test]
    fn a_job_id_parses_from_its_text_and_has_the_partition_of_its_lane() {
        let tenant = TenantId::default();
        let session = SessionId::parse("chat-42").unwrap();
        for session in [Some(&session), None] {
            let id = JobId::fresh(&tenant, session);
            assert_eq!(JobId::parse(&id.to_string()), Ok(id));
            let lane = LaneKey::of(&tenant, session, id);
            assert_eq!(lane.partition(), id.partition());
            assert_eq!(LaneKey::parse(&lane.to_string()), Ok(lane));
        }
    }

    #[test]
    fn the_partition_of_a_session_never_changes_between_releases() {
        let session = SessionId::parse("chat-42").unwrap();
        let lane = LaneKey::Session {
            tenant: TenantId::default(),
            session,
        };
        assert_eq!(lane.partition(), 22);
    }

    #[test]
    fn any_other_text_is_a_session_id() {
        let tenant = TenantId::default();
        let longest = "é".repeat(100);
        for text in [
            "a/b",
            "/",
            "ada+x@example.com",
            "ünï",
            "a b",
            " ",
            "...",
            "s/default/x",
            "{16}",
            "a|b;c",
            "🦀",
            &longest,
        ] {
            let session = SessionId::parse(text).expect("the id is valid");
            let id = JobId::fresh(&tenant, Some(&session));
            let lane = LaneKey::of(&tenant, Some(&session), id);
            assert_eq!(LaneKey::parse(&lane.to_string()), Ok(lane), "{text:?}");
        }
    }

    #[test]
    fn invalid_names_are_refused() {
        for text in ["", "a b", "a/b", "a\0b", "é", "a\nb", &"x".repeat(129)] {
            assert!(TenantId::parse(text).is_err(), "{text:?} is accepted");
        }
        let too_long = "é".repeat(101);
        for text in ["", ".", "..", "a\0b", "a\nb", "\u{7f}", "\u{85}", &too_long] {
            assert!(SessionId::parse(text).is_err(), "{text:?} is accepted");
        }
        for text in [
            "job_",
            "job_00",
            "JOB_00",
            "job_zz0123456789abcdef0123456789abcdef",
        ] {
            assert!(JobId::parse(text).is_err(), "{text:?} is accepted");
        }
        let id = JobId::fresh(&TenantId::default(), None).to_string();
        assert!(JobId::parse(&id.to_uppercase()).is_err());
    }
}
