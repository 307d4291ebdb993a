//! The versions of stored documents, for the compare-and-set of a change.

/// The version of a lane's document. Each commit chooses a random value. If its response is lost and the commit is
/// repeated, this value shows whether the first request took effect.
pub type LaneVersion = uuid::Uuid;

/// The version of an account's document. Each swap chooses a random value, for the reason that [`LaneVersion`] gives.
pub type AccountVersion = uuid::Uuid;

/// The version of what a tenant has used of its limits. Each swap chooses a random value, for the reason that [`LaneVersion`] gives.
pub type UsageVersion = uuid::Uuid;

/// The version of the limits of all tenants.
pub type LimitsVersion = uuid::Uuid;

/// The id of a write of a whole session. Each write chooses a random value, for the reason that [`LaneVersion`] gives.
pub type SessionWriteId = uuid::Uuid;
