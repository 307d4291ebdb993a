//! The version of a lane, for the compare-and-set of a commit.

/// The version of a lane's document. Each commit chooses a random value. If its response is lost and the commit is
/// repeated, this value shows whether the first request took effect.
pub type LaneVersion = uuid::Uuid;
