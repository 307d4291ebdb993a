//! Who makes a request.

use std::sync::Arc;

use forebay_shared::ids::TenantId;

use super::{
    key_hash::KeyHash,
    scopes::{Scope, Scopes},
};

/// Who makes a request: a tenant, with the scopes of its key. Without keys, the default tenant with all scopes.
#[derive(Clone)]
pub(crate) struct Caller {
    tenant: TenantId,
    /// `None` if the gateway requires no keys.
    key: Option<CallerKey>,
    scopes: Scopes,
}

/// The key of a caller.
#[derive(Clone)]
struct CallerKey {
    id: Arc<str>,
    hash: KeyHash,
}

impl Caller {
    /// The caller of a gateway without keys.
    pub(crate) fn without_key() -> Self {
        Self {
            tenant: TenantId::default(),
            key: None,
            scopes: Scopes::ALL,
        }
    }

    /// The caller with a key. The id is not secret.
    pub(super) fn with_key(tenant: TenantId, hash: KeyHash, id: Arc<str>, scopes: Scopes) -> Self {
        Self {
            tenant,
            key: Some(CallerKey { id, hash }),
            scopes,
        }
    }

    /// The tenant whose jobs and sessions the request may use.
    pub(crate) const fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// The id of the key, which is not secret.
    pub(super) fn key_id(&self) -> Option<Arc<str>> {
        self.key.as_ref().map(|key| Arc::clone(&key.id))
    }

    /// The hash of the key.
    pub(super) fn key_hash(&self) -> Option<KeyHash> {
        self.key.as_ref().map(|key| key.hash)
    }

    /// Whether both callers have the same tenant and the same scopes.
    pub(super) fn has_same_rights(&self, other: &Self) -> bool {
        self.tenant == other.tenant && self.scopes == other.scopes
    }

    /// Whether the caller's key has this scope.
    pub(crate) const fn may(&self, scope: Scope) -> bool {
        self.scopes.has(scope)
    }

    /// Whether the caller sees the counts of all tenants.
    pub(crate) const fn sees_all_tenants(&self) -> bool {
        self.may(Scope::Admin)
    }
}
