//! The list of a tenant's sessions, in the order of their creation.

use crate::{
    ids::{SessionId, TenantId},
    session::SessionInfo,
    time::TimeMs,
};

/// The position of a session in the list of its tenant. It never changes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionPosition {
    /// When the session was created.
    pub created_at: TimeMs,
    /// The session. It orders sessions of the same millisecond.
    pub session: SessionId,
}

/// Which part of the list of a tenant to read.
#[derive(Clone, Debug)]
pub struct SessionListQuery {
    /// The tenant.
    pub tenant: TenantId,
    /// Whether the list begins with the oldest session, and not with the newest.
    pub is_oldest_first: bool,
    /// Begins behind this position. The session there need not exist any more.
    pub after: Option<SessionPosition>,
    /// The most sessions, 1 to 1,000.
    pub limit: usize,
}

/// A session in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedSession {
    /// Where the session is in the list.
    pub position: SessionPosition,
    /// The session, without its turns. Its settings have the attributes and the model only. `None` if it has expired, or was deleted
    /// and perhaps created again.
    pub info: Option<SessionInfo>,
}
