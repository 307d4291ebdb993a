//! Who makes a request.

use std::sync::Arc;

use forebay_shared::ids::TenantId;

use super::scopes::{Scope, Scopes};

/// Who makes a request: a tenant, with the scopes of its key. Without keys, the default tenant with all scopes.
#[derive(Clone)]
pub(crate) struct Caller {
    tenant: TenantId,
    key_id: Option<Arc<str>>,
    scopes: Scopes,
}

impl Caller {
    /// The caller of a gateway without keys.
    pub(crate) fn without_key() -> Self {
        Self {
            tenant: TenantId::default(),
            key_id: None,
            scopes: Scopes::ALL,
        }
    }

    /// The caller with a key.
    pub(super) const fn with_key(tenant: TenantId, key_id: Arc<str>, scopes: Scopes) -> Self {
        Self {
            tenant,
            key_id: Some(key_id),
            scopes,
        }
    }

    /// The tenant whose jobs and sessions the request may use.
    pub(crate) const fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// The id of the key, which is not secret.
    pub(super) fn key_id(&self) -> Option<Arc<str>> {
        self.key_id.clone()
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
