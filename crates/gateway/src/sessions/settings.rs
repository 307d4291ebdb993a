//! Reads the settings of a session. Large ones are read once there is memory for them.

use forebay_runtime::byte_budget::ReservedBytes;
use forebay_shared::{
    ids::{SessionId, TenantId},
    session::SessionInfo,
    session_settings::{SessionSettings, StoredSettings},
    store::StoreError,
};

use crate::{
    problem::Problem,
    state::ApiState,
    store_call,
    validation::{ATTRIBUTES_BYTES_MAX, DEFAULTS_BYTES_MAX},
};

/// The memory of settings that are read: as text, parsed, changed, and in the response. A parsed list of numbers of one digit takes 16
/// times as many bytes as its text.
const LARGE_SETTINGS_BYTES: u64 = 48 * (ATTRIBUTES_BYTES_MAX + DEFAULTS_BYTES_MAX) as u64;

/// The memory that a read of the settings needs, if they are not in `info`.
pub(super) const fn large_bytes(info: &SessionInfo) -> u64 {
    match info.settings {
        Some(_) => 0,
        None => LARGE_SETTINGS_BYTES,
    }
}

/// Settings, and the memory that is reserved for them if they are large.
pub(super) struct ReadSettings {
    pub(super) stored: StoredSettings,
    pub(super) reserved: Option<ReservedBytes>,
}

impl ReadSettings {
    pub(super) fn parse(&self) -> Result<SessionSettings, Problem> {
        parse(&self.stored)
    }
}

/// Parses settings of the store.
pub(super) fn parse(stored: &StoredSettings) -> Result<SessionSettings, Problem> {
    let parsed = stored.parse();
    parsed.map_err(|error| store_call::store_problem(&StoreError::from(error)))
}

/// The settings of a session: those of `info`, or read from the store if they are large. `None` if the session was deleted since
/// `info` was read. With `is_reserved`, the caller has already reserved [`large_bytes`] together with other memory, because a request
/// that waits for memory must hold none of the same kind.
pub(super) async fn read(
    state: &ApiState,
    tenant: &TenantId,
    id: &SessionId,
    info: &mut SessionInfo,
    is_reserved: bool,
) -> Result<Option<ReadSettings>, Problem> {
    if let Some(stored) = info.settings.take() {
        return Ok(Some(ReadSettings {
            stored,
            reserved: None,
        }));
    }
    let reserved = if is_reserved {
        None
    } else {
        Some(state.reserve_read(LARGE_SETTINGS_BYTES).await?)
    };
    let read = state.member.store.session_settings(tenant, id);
    let stored = store_call::with_long_timeout(read).await?;
    Ok(stored.map(|stored| ReadSettings { stored, reserved }))
}
