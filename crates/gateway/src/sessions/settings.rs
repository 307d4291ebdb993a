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

/// The memory of settings that are read: as text, parsed, changed, and in the response.
const LARGE_SETTINGS_BYTES: u64 = 8 * (ATTRIBUTES_BYTES_MAX + DEFAULTS_BYTES_MAX) as u64;

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
/// `info` was read.
pub(super) async fn read(
    state: &ApiState,
    tenant: &TenantId,
    id: &SessionId,
    info: &mut SessionInfo,
) -> Result<Option<ReadSettings>, Problem> {
    if let Some(stored) = info.settings.take() {
        return Ok(Some(ReadSettings {
            stored,
            reserved: None,
        }));
    }
    let reserved = state.reserve_read(LARGE_SETTINGS_BYTES).await?;
    let read = state.member.store.session_settings(tenant, id);
    let stored = store_call::with_long_timeout(read).await?;
    Ok(stored.map(|stored| ReadSettings {
        stored,
        reserved: Some(reserved),
    }))
}
