//! Reads the stored limits of tenants. Limits that cannot be read do not hide the others.

use forebay_shared::{document, ids::TenantId, store::StoredTenantLimits};
use uuid::Uuid;

/// Parses rows of a tenant and its limits as JSON.
pub(crate) fn parse(
    version: Option<Uuid>,
    rows: impl Iterator<Item = (String, Vec<u8>)>,
) -> StoredTenantLimits {
    let mut all = StoredTenantLimits {
        version,
        ..StoredTenantLimits::default()
    };
    for (tenant, json) in rows {
        // Ids are checked before they are stored, so every stored id is valid.
        let Ok(tenant) = TenantId::parse(&tenant) else {
            continue;
        };
        match document::read(&json) {
            Ok(limits) => all.limits.push((tenant, limits)),
            Err(_) => all.unreadable.push(tenant),
        }
    }
    all
}
