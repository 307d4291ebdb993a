//! The ids of jobs.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer, ser};

use super::{InvalidId, SessionId, TenantId};

/// The form of a [`JobId`], as a regular expression.
pub const JOB_ID_PATTERN: &str = "^job_[0-9a-f]{34}$";

/// The length of an id's text.
const TEXT_BYTES: usize = 38;

/// A job's id: `job_`, the partition of its lane in two hex digits, and a UUIDv7 (RFC 9562) in 32 hex digits.
///
/// Ids sort by time within a partition. The keys of a job are computed from its id, because the id contains the partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
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
            Some(session) => session_partition(tenant, session),
            None => partition(&[uuid.as_bytes()]),
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

/// The partition of a session, computed from the text `TENANT/SESSION`.
pub(super) fn session_partition(tenant: &TenantId, session: &SessionId) -> u8 {
    partition(&[
        tenant.as_str().as_bytes(),
        b"/",
        session.as_str().as_bytes(),
    ])
}

/// The partition of these bytes, from 0 to 255: the low byte of the CRC-32 (IEEE 802.3), the same in every process and release.
fn partition(parts: &[&[u8]]) -> u8 {
    let mut hasher = crc32fast::Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    let [low, ..] = hasher.finalize().to_le_bytes();
    low
}

/// The text of an id, without an allocation: a commit writes an id more than ten times.
struct IdText([u8; TEXT_BYTES]);

impl IdText {
    fn of(id: &JobId) -> Self {
        let mut text = *b"job_0000000000000000000000000000000000";
        let partition = id.partition;
        text[4] = hex_digit(partition >> 4);
        text[5] = hex_digit(partition & 0x0f);
        id.uuid.simple().encode_lower(&mut text[6..]);
        Self(text)
    }

    fn as_str(&self) -> Result<&str, std::str::Utf8Error> {
        std::str::from_utf8(&self.0)
    }
}

const fn hex_digit(value: u8) -> u8 {
    b"0123456789abcdef"[value as usize]
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(IdText::of(self).as_str().map_err(|_| fmt::Error)?)
    }
}

impl Serialize for JobId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = IdText::of(self);
        serializer.serialize_str(text.as_str().map_err(ser::Error::custom)?)
    }
}

impl TryFrom<String> for JobId {
    type Error = InvalidId;
    fn try_from(text: String) -> Result<Self, InvalidId> {
        Self::parse(&text)
    }
}
