//! The claim: takes the head of a lane for this worker, or learns that there is nothing to take.

use std::time::Duration;

use forebay_runtime::lanes::{Applied, Change, LaneError};
use forebay_shared::{
    ids::{JobId, LaneKey},
    lane::{Refused, State},
    queue::Delivery,
    store::Work,
};
use tokio::time::{Instant, sleep};

use super::{Attempt, Desk};
use crate::settings::COMMIT_MARGIN_MS;

/// How long one try of a claim, or of a release of what it left behind, may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The pause while the store does not answer.
const PAUSE: Duration = Duration::from_millis(500);

/// Claims the job of a wake. The message stays in `delivery` if it is to be acked once the attempt, if
/// one is granted, is over.
///
/// When the store does not answer, the message is given back: another worker may be better off. Still
/// the claim may have been made and only its answer lost, and then nobody but this process can run the
/// job. So it goes on until the store has told.
pub(super) async fn claim(
    desk: &Desk,
    delivery: &mut Option<Delivery>,
) -> Option<(Box<Attempt>, Box<Work>)> {
    let wake = &delivery.as_ref()?.wake;
    let (lane, job) = (wake.lane(), wake.job);
    let limit_ms = desk
        .settings
        .call_timeout_ms
        .saturating_add(COMMIT_MARGIN_MS);
    // After that its own `until` ends whatever was claimed.
    let giving_up = Instant::now() + Duration::from_millis(limit_ms);
    let mut is_in_doubt = false;
    while !desk.stop.is_cancelled() && Instant::now() < giving_up {
        let began = Instant::now();
        let claim = Change::claim(lane.clone(), job, desk.member.me.clone(), limit_ms);
        match desk.member.lanes.apply(claim, PATIENCE).await {
            Ok(Applied::Claimed {
                fence,
                until,
                attempt,
                tries,
                work,
            }) => {
                let attempt = Attempt {
                    lane,
                    job,
                    fence,
                    until,
                    expires_at: work.meta.expires_at,
                    n: attempt,
                    tries,
                    began,
                };
                return Some((Box::new(attempt), work));
            }
            Ok(Applied::Done | Applied::NotDue) => return None,
            Err(LaneError::Refused(Refused::Running)) if is_in_doubt => {
                if release_own(desk, &lane, job).await {
                    return None;
                }
                // The store went away again before it had told.
                desk.stop.run_until_cancelled(sleep(PAUSE)).await;
            }
            Err(LaneError::Refused(refused)) => {
                tracing::debug!(job_id = %job, %refused, "a wake was not needed");
                return None;
            }
            Err(LaneError::Store(error)) if !error.is_transient() => {
                // The job's timer asks again, at a pace that a broken store can bear.
                tracing::error!(job_id = %job, %error, "a job could not be claimed");
                return None;
            }
            Err(error @ (LaneError::Store(_) | LaneError::Crowded)) => {
                is_in_doubt = true;
                tracing::debug!(job_id = %job, %error, "a claim got no answer");
                desk.stop.run_until_cancelled(sleep(PAUSE)).await;
            }
        }
        give_back(delivery);
    }
    give_back(delivery);
    None
}

fn give_back(delivery: &mut Option<Delivery>) {
    if let Some(delivery) = delivery.take() {
        delivery.give_back();
    }
}

/// Releases the job if it runs for this very process: nobody else here is at work on it, as its note is
/// ours, so it is a claim of which the answer was lost. Whether the store has told, and taken it.
async fn release_own(desk: &Desk, lane: &LaneKey, job: JobId) -> bool {
    let loaded = match desk.member.store.load(lane, &[], None).await {
        Ok(loaded) => loaded,
        Err(error) => {
            tracing::debug!(job_id = %job, %error, "a lane could not be read");
            return false;
        }
    };
    if let Some(head) = loaded.lane.head()
        && head.job == job
        && matches!(&head.state, State::Running { worker, .. } if *worker == desk.member.me)
    {
        let release = Change::release(lane.clone(), job, head.fence);
        let result = desk.member.lanes.apply(release, PATIENCE).await;
        tracing::debug!(job_id = %job, released = result.is_ok(), "a claim had been made after all");
        return !matches!(result, Err(LaneError::Store(_) | LaneError::Crowded));
    }
    true
}
