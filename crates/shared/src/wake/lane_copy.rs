//! A copy of a small lane, which a wake carries.

use serde::{Deserialize, Serialize};

use crate::{
    document,
    lane::{Lane, State},
    store::{LaneVersion, LoadedLane},
};

/// A lane at one of its versions: the version in 32 hex digits, then the lane as JSON. It saves the claim of the job a read of the
/// lane. It may be outdated, so the commit of the claim compares the version. It may be of another release, so a copy that cannot be
/// read is ignored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LaneCopy(String);

/// The most bytes of a copy. Copies of larger lanes would fill the queue. Besides, such a lane probably changes before the claim.
const BYTES_MAX: usize = 1024;
/// The most jobs of a lane that is copied.
const JOBS_MAX: usize = 3;
/// The hex digits of a version.
const VERSION_BYTES: usize = 32;

impl LaneCopy {
    /// The copy of a lane. `None` if it would be large, or if the lane may have errors, because it has attempts or a deferral. An
    /// error may quote a reply or a prompt, and a message must not.
    #[must_use]
    pub fn of(lane: &Lane, version: LaneVersion) -> Option<Self> {
        let may_have_error = lane
            .entries
            .iter()
            .any(|entry| !entry.attempts.is_empty() || matches!(entry.state, State::Deferred(_)));
        if may_have_error || lane.entries.len() > JOBS_MAX {
            return None;
        }
        let mut copy = version.simple().to_string();
        copy.push_str(&serde_json::to_string(lane).ok()?);
        (copy.len() <= BYTES_MAX).then_some(Self(copy))
    }

    /// The lane and its version; `None` if only another release can read the copy.
    #[must_use]
    pub fn read(&self) -> Option<LoadedLane> {
        let (version, lane) = self.0.split_at_checked(VERSION_BYTES)?;
        Some(LoadedLane {
            version: Some(LaneVersion::try_parse(version).ok()?),
            lane: document::read(lane.as_bytes()).ok()?,
            ..LoadedLane::default()
        })
    }
}

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
        let version = LaneVersion::new_v4().simple().to_string();
        let reads = |lane: &str| LaneCopy(format!("{version}{lane}")).read().is_some();
        assert!(reads(r#"{"entries":[],"new":1}"#));
        assert!(!reads(r#"{"v":1000,"entries":[]}"#));
        assert!(!reads(r#"{"entries":1}"#));
        assert!(!reads(""));
        for text in [
            "",
            "short",
            "Ä".repeat(20).as_str(),
            "x".repeat(40).as_str(),
        ] {
            assert!(LaneCopy(text.to_owned()).read().is_none(), "{text}");
        }
    }

    #[test]
    fn a_lane_that_is_large_or_has_errors_has_no_copy() {
        let version = LaneVersion::new_v4();
        let entry = |fields: serde_json::Value| {
            let mut entry = json!({
                "job": "job_b601a22e5469db71e68120363b7a1974dc", "class": "batch", "fence": 0, "settled": 0,
                "state": { "queued": { "not_before": null } }, "deadline": 9, "tool_results": false, "claimed": false,
                "tries": 0, "takeovers": 0, "admitted_at": 1, "started_at": null,
            });
            let fields = fields.as_object().unwrap().clone();
            entry.as_object_mut().unwrap().extend(fields);
            entry
        };
        let has_copy = |entries: Vec<serde_json::Value>| {
            let lane: Lane = serde_json::from_value(json!({ "entries": entries })).unwrap();
            LaneCopy::of(&lane, version).is_some()
        };
        let small = entry(json!({}));
        assert!(has_copy(vec![small.clone()]));
        assert!(has_copy(vec![small.clone(), small.clone()]));
        assert!(!has_copy(vec![small.clone(); 1 + JOBS_MAX]));
        assert!(!has_copy(vec![entry(
            json!({ "new": "x".repeat(BYTES_MAX) })
        )]));
        let error = json!({ "code": "provider_error", "message": "it said: hello" });
        let attempt = json!({ "n": 1, "worker": "w", "started_at": 1, "ended_at": 2, "outcome": "retried", "error": error });
        let tried = entry(json!({ "attempts": [attempt] }));
        assert!(!has_copy(vec![small.clone(), tried]));
        let wait = json!({ "account": "acme", "error": error });
        let state = json!({ "queued": { "not_before": 5, "provider_wait": wait } });
        assert!(!has_copy(vec![entry(json!({ "state": state }))]));
    }
}
