//! A copy of a small lane, which a wake carries.

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use crate::{
    document,
    lane::Lane,
    store::{LaneVersion, LoadedLane},
};

/// A lane at one of its versions, as JSON. It saves the claim of the job a read of the lane. It may be outdated or of another
/// release, so the commit of the claim compares the version, and a copy that cannot be read is ignored.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LaneCopy(Box<RawValue>);

/// The most bytes of a copy. Larger lanes are left out: their copies would fill the queue, and such a lane has more jobs, so it
/// probably changes before the claim.
const BYTES_MAX: usize = 1024;

/// The JSON of a copy. The lane itself is parsed separately, because its version decides whether this release may read it.
#[derive(Serialize)]
struct WrittenCopy<'a> {
    version: LaneVersion,
    lane: &'a Lane,
}

#[derive(Deserialize)]
struct ReadCopy<'a> {
    version: LaneVersion,
    #[serde(borrow)]
    lane: &'a RawValue,
}

impl LaneCopy {
    /// The copy of a lane; `None` if it would be too large.
    #[must_use]
    pub fn of(lane: &Lane, version: LaneVersion) -> Option<Self> {
        let json = to_raw_value(&WrittenCopy { version, lane }).ok()?;
        (json.get().len() <= BYTES_MAX).then_some(Self(json))
    }

    /// The lane and its version; `None` if only another release can read the copy.
    #[must_use]
    pub fn read(&self) -> Option<LoadedLane> {
        let ReadCopy { version, lane } = serde_json::from_str(self.0.get()).ok()?;
        Some(LoadedLane {
            lane: document::read(lane.get().as_bytes()).ok()?,
            version: Some(version),
            ..LoadedLane::default()
        })
    }
}

impl PartialEq for LaneCopy {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl Eq for LaneCopy {}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::time::TimeMs;

    fn lane() -> Lane {
        Lane {
            hold_until: Some(TimeMs(5)),
            ..Lane::default()
        }
    }

    fn parse(json: serde_json::Value) -> LaneCopy {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_copy_is_read_as_it_was_written() {
        let version = LaneVersion::new_v4();
        let copy = LaneCopy::of(&lane(), version).unwrap();
        let sent = serde_json::to_vec(&copy).unwrap();
        let received: LaneCopy = serde_json::from_slice(&sent).unwrap();
        assert_eq!(received, copy);
        let read = received.read().unwrap();
        assert_eq!((read.lane, read.version), (lane(), Some(version)));
    }

    #[test]
    fn a_copy_of_another_release_is_ignored() {
        let version = LaneVersion::new_v4();
        let readable = json!({ "version": version, "lane": { "entries": [], "new": 1 }, "new": 2 });
        assert!(parse(readable).read().is_some());
        for unreadable in [
            json!({ "version": version, "lane": { "v": 1_000, "entries": [] } }),
            json!({ "version": version, "lane": { "entries": 1 } }),
            json!({ "version": version }),
            json!({ "version": 2, "lane": { "entries": [] } }),
            json!([1]),
            json!("text"),
        ] {
            assert!(parse(unreadable.clone()).read().is_none(), "{unreadable}");
        }
    }

    #[test]
    fn a_large_lane_has_no_copy() {
        let mut lane = lane();
        let version = LaneVersion::new_v4();
        assert!(LaneCopy::of(&lane, version).is_some());
        let long = json!({ "long": "x".repeat(BYTES_MAX) });
        lane.unknown = serde_json::from_value(long).unwrap();
        assert!(LaneCopy::of(&lane, version).is_none());
    }
}
