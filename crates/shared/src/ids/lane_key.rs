//! The keys of lanes.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{InvalidId, JobId, SessionId, TenantId, job_id::session_partition};

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
            Self::Session { tenant, session } => session_partition(tenant, session),
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
