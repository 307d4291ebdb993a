//! The key of a session in the tables.

use forebay_shared::ids::{SessionId, TenantId};

/// A tenant and the name of one of its sessions, as they are stored.
#[derive(Clone, Debug)]
pub(in crate::embedded) struct SessionKey {
    pub(in crate::embedded) tenant: String,
    pub(in crate::embedded) session: String,
}

impl SessionKey {
    pub(in crate::embedded) fn new(tenant: &TenantId, session: &SessionId) -> Self {
        Self {
            tenant: tenant.to_string(),
            session: session.to_string(),
        }
    }
}
