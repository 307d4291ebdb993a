//! The version of a lane, for the compare-and-set of a commit.

/// The version of a lane's document. The committer chooses a random value, so a commit whose response was lost
/// recognises its own version when it is tried again.
pub type LaneVersion = uuid::Uuid;
