//! Whether anybody still waits for a call: its job may have been cancelled, have expired, or have gone
//! to another worker.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::{Attempt, Desk};
use crate::table::Note;

/// How often it is looked at without a hint, since hints may be lost.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Waits until the attempt has no say any more. Looks at each hint, and from time to time without one; a
/// store that does not answer says nothing against the attempt.
pub(super) async fn lost(desk: &Desk, attempt: &Attempt, note: &Note) {
    let mut look = interval_at(Instant::now() + LOOK_EVERY, LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = note.hinted() => {}
            _ = look.tick() => {}
        }
        match desk.member.store.load(&attempt.lane, &[], None).await {
            Ok(loaded) => {
                // A job that was put back for another worker, but not taken yet, is still ours to finish.
                let entry = loaded.lane.find(attempt.job);
                if entry.is_none_or(|(_, entry)| entry.fence != attempt.fence) {
                    return;
                }
            }
            Err(error) => {
                tracing::debug!(job_id = %attempt.job, %error, "a lane could not be read");
            }
        }
    }
}
