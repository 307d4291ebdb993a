//! Changes of a session that clients ask for.

use super::version::SessionWriteId;
use crate::{
    ids::{SessionId, TenantId},
    session::SessionInfo,
    session_settings::StoredSettings,
};

/// A session as a client writes it, with all its turns.
#[derive(Clone, Debug)]
pub struct SessionPut {
    /// The tenant.
    pub tenant: TenantId,
    /// The session.
    pub session: SessionId,
    /// A random id. If the response is lost and the call is repeated, this id shows that the first request took effect.
    pub id: SessionWriteId,
    /// The turns, each as JSON, oldest first. They replace all turns of the session. Their numbers follow the highest number that the
    /// session has given to a turn.
    pub turns: Vec<String>,
    /// The settings. They replace those of the session.
    pub settings: StoredSettings,
    /// Whether the session must not exist yet.
    pub only_create: bool,
    /// How long the session is kept after its last use, in milliseconds.
    pub ttl_ms: u64,
}

/// The result of writing a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionPutResult {
    /// The session did not exist. It was created with this state. The turns and the settings are left out.
    Created(SessionInfo),
    /// The session has this state now. The turns and the settings are left out.
    Replaced(SessionInfo),
    /// The session has live jobs. Nothing was written.
    HasLiveJobs,
    /// The session exists, and the call was only to create it. Nothing was written.
    Exists,
}

/// A change of a session's settings: a compare-and-set.
#[derive(Clone, Debug)]
pub struct SettingsSwap {
    /// The tenant.
    pub tenant: TenantId,
    /// The session.
    pub session: SessionId,
    /// The settings that were read.
    pub expected: StoredSettings,
    /// The new settings.
    pub next: StoredSettings,
    /// How long the session is kept after its last use, in milliseconds.
    pub ttl_ms: u64,
}

/// The result of a change of settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingsSwapResult {
    /// The session has the new settings. This is its state; the turns and the settings are left out.
    Done(SessionInfo),
    /// The session has other settings than expected. Nothing was written.
    Changed,
    /// There is no such session.
    NotFound,
}
