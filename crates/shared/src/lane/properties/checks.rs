//! The properties of a lane, of a step between two lanes, of a repeated event and of a refused event.

use std::collections::BTreeSet;

use super::steps::newest_fence;
use crate::{
    class::Class,
    ids::JobId,
    job::Status,
    lane::{
        ClaimResult, ClassCounts, Effects, Entry, Event, IfBusy, LANE_MAX, Lane, LaneCounts,
        PUBLISH_LIMIT_MS, Refused, State, apply, examples::scene::Scene,
    },
};

/// The properties of any lane with its timers and outcomes.
pub(super) fn check_state(scene: &Scene) {
    let live: BTreeSet<JobId> = scene.lane.entries.iter().map(|entry| entry.job).collect();
    assert_eq!(
        live.len(),
        scene.lane.entries.len(),
        "a job has two entries"
    );
    let jobs_with_timer: BTreeSet<JobId> = scene.timers.keys().copied().collect();
    assert_eq!(
        jobs_with_timer, live,
        "the jobs with a timer are not exactly the live jobs"
    );
    for (position, entry) in scene.lane.entries.iter().enumerate() {
        let timer = scene.timers[&entry.job];
        assert!(timer <= entry.deadline, "the timer is after the deadline");
        assert!(entry.settled_fence <= entry.fence);
        assert!(
            !scene.outcomes.contains_key(&entry.job),
            "a live job has an outcome"
        );
        match &entry.state {
            State::Running { until, .. } => {
                assert_eq!(position, 0, "a job that is not the head runs");
                assert!(timer <= *until, "the timer is after the limit of the claim");
                assert!(scene.lane.hold_until.is_none(), "a job runs under a hold");
                assert!(entry.claimed && entry.fence > entry.settled_fence);
                assert!(entry.attempts.last().unwrap().ended_at.is_none());
            }
            State::Deferred(deferral) => {
                assert_eq!(position, 0, "a job behind the head is deferred");
                assert_eq!(timer, deferral.until.min(entry.deadline));
                assert_no_running_attempt(entry);
            }
            State::Queued { not_before } => {
                assert!(
                    position == 0 || not_before.is_none(),
                    "a job behind the head has a not_before"
                );
                if position == 0
                    && let Some(not_before) = not_before
                {
                    assert_eq!(timer, (*not_before).min(entry.deadline));
                }
                assert_no_running_attempt(entry);
            }
        }
        assert!(
            position == 0 || !entry.claimed,
            "a claimed entry is not the head"
        );
        assert!(
            position == 0 || timer == entry.deadline,
            "the timer of a job behind the head is not its deadline"
        );
    }
    if let (Some(hold), Some(head)) = (scene.lane.hold_until, scene.lane.head()) {
        let not_before = Some(hold);
        assert_eq!(head.state, State::Queued { not_before });
        assert!(
            !head.is_tool_results,
            "a hold delays a head that has tool results"
        );
    }
    let counts = LaneCounts::of(&scene.lane);
    for class in Class::ALL {
        let entries = scene
            .lane
            .entries
            .iter()
            .filter(|entry| entry.class == class);
        assert_eq!(counts[class].live(), entries.count() as i64);
        let ClassCounts {
            ready,
            in_flight,
            behind_session,
            retry_wait,
            provider_wait,
        } = counts[class];
        let all_counts = [ready, in_flight, behind_session, retry_wait, provider_wait];
        assert!(all_counts.iter().all(|count| *count >= 0));
        assert!(ready + in_flight + retry_wait + provider_wait <= 1);
    }
    assert!(scene.lane.entries.len() <= LANE_MAX);
    let text = serde_json::to_string(&scene.lane).unwrap();
    let read: Lane = serde_json::from_str(&text).unwrap();
    assert_eq!(
        read, scene.lane,
        "the lane differs after it was written and read as JSON"
    );
}

fn assert_no_running_attempt(entry: &Entry) {
    let has_running_attempt = entry
        .attempts
        .iter()
        .any(|attempt| attempt.ended_at.is_none());
    assert!(
        !has_running_attempt,
        "a job that does not run has an attempt that has not ended"
    );
}

/// The properties of a step from one state to the next.
pub(super) fn check_step(before: &Scene, event: &Event, after: &Scene, effects: &Effects) {
    for entry in &after.lane.entries {
        if before.lane.find(entry.job).is_none() {
            assert!(matches!(event, Event::Admit(admit) if admit.job == entry.job));
        }
        let fence_before = newest_fence(before, entry.job);
        match event {
            Event::Claim { job, .. } if *job == entry.job => assert!(entry.fence >= fence_before),
            Event::Admit(admit) if admit.job == entry.job && admit.is_repair => {
                assert_eq!(
                    entry.fence,
                    fence_before + 1,
                    "a repair did not raise the fence by 1"
                );
            }
            _ => assert_eq!(
                entry.fence, fence_before,
                "an event other than a claim or a repair changed a fence"
            ),
        }
    }
    for ended in &effects.ended {
        let job = ended.entry.job;
        assert!(
            before.lane.find(job).is_some(),
            "the ended job was not live"
        );
        assert!(
            after.lane.find(job).is_none(),
            "the ended job is still live"
        );
        assert!(ended.status.is_terminal());
        assert_eq!(ended.error.is_none(), ended.status == Status::Completed);
        if ended.status == Status::Completed {
            assert_eq!(
                before.lane.entries[0].job, job,
                "a job completed that was not the head"
            );
            assert!(effects.keep_turns);
        }
        let running = matches!(ended.entry.state, State::Running { .. });
        let is_dropped = effects
            .dropped_calls
            .iter()
            .any(|(_, dropped)| *dropped == job);
        let was_ended_by_its_attempt = matches!(event, Event::Finish { .. } | Event::Retry { .. });
        assert_eq!(
            is_dropped,
            running && !was_ended_by_its_attempt,
            "dropped_calls must hold the running jobs that neither finish nor retry ended, and no others"
        );
    }
    assert_eq!(
        effects.keep_turns,
        effects
            .ended
            .iter()
            .any(|end| end.status == Status::Completed)
    );
    let entries_before_and_admitted =
        before.lane.entries.len() + usize::from(matches!(event, Event::Admit(_)));
    assert_eq!(
        after.lane.entries.len() + effects.ended.len(),
        entries_before_and_admitted
    );
    let jobs_that_stay = |lane: &Lane| -> Vec<JobId> {
        let is_in_both =
            |job: &JobId| before.lane.find(*job).is_some() && after.lane.find(*job).is_some();
        lane.entries
            .iter()
            .map(|entry| entry.job)
            .filter(is_in_both)
            .collect()
    };
    assert_eq!(
        jobs_that_stay(&before.lane),
        jobs_that_stay(&after.lane),
        "the jobs that stay in the lane have changed their order"
    );
    check_head(before, event, after, effects);
    if *effects == Effects::default() {
        assert_eq!(
            before.lane, after.lane,
            "the lane changed, but the effects are empty"
        );
    }
}

/// Only the newest fence settles the head, and only the worker that repeats its claim gets the same fence again.
pub(super) fn check_fence(before: &Scene, event: &Event, effects: &Effects) {
    let live = before.lane.find(event.job());
    match event {
        Event::Finish { fence, .. }
        | Event::Retry { fence, .. }
        | Event::Release { fence, .. }
        | Event::Defer {
            fence: Some(fence), ..
        } if *effects != Effects::default() => {
            let (position, entry) =
                live.expect("a settlement of a job that is not live must have no effects");
            assert_eq!(
                (position, entry.fence),
                (0, *fence),
                "the fence is not the newest, or the job is not the head"
            );
            assert!(entry.claimed && entry.settled_fence < *fence);
        }
        Event::Claim {
            worker,
            repeated_fence,
            ..
        } => {
            let (_, entry) = live.expect("the claim of a job that is not live must be refused");
            if let State::Running { worker: owner, .. } = &entry.state {
                assert_eq!((owner, Some(entry.fence)), (worker, *repeated_fence));
            }
        }
        _ => {}
    }
}

/// A new head gets a wake or waits for the end of a hold. Only a ready head gets a wake.
pub(super) fn check_head(before: &Scene, event: &Event, after: &Scene, effects: &Effects) {
    if let Some(job) = effects.wake {
        let head = after.lane.head().expect("only a head gets a wake");
        assert_eq!(head.job, job);
        assert_eq!(head.state, State::Queued { not_before: None });
        assert!(after.timers[&job] <= after.now.plus_ms(PUBLISH_LIMIT_MS));
    }
    let old_head = before.lane.head();
    if let Some(head) = after.lane.head()
        && old_head.is_none_or(|old| old.job != head.job)
    {
        assert_ne!(effects.wake.is_some(), after.lane.hold_until.is_some());
        assert!(
            old_head.is_none_or(|old| {
                after.lane.find(old.job).is_none() || (!old.claimed && head.is_tool_results)
            }),
            "a job without tool results displaced the head, or the displaced head was claimed"
        );
    }
    let ends_hold = match event {
        Event::Cancel { .. } => true,
        Event::Admit(admit) => {
            admit.is_tool_results || matches!(admit.if_busy, IfBusy::Rollback | IfBusy::Interrupt)
        }
        _ => false,
    };
    assert!(!ends_hold || after.lane.hold_until.is_none());
    match (before.lane.hold_until, after.lane.hold_until) {
        (None, Some(_)) => assert!(matches!(event, Event::Finish { error: None, .. })),
        (Some(hold), Some(hold_after)) => {
            assert_eq!(hold, hold_after, "the end of a hold has moved");
        }
        (Some(hold), None) => assert!(
            hold <= after.now || ends_hold,
            "a hold ended early without tool results and without a cancel"
        ),
        (None, None) => {}
    }
}

/// The repeat of a settlement succeeds and changes nothing.
pub(super) fn check_repeated_settlement(scene: &Scene, event: &Event) {
    if matches!(
        event,
        Event::Finish { .. }
            | Event::Retry { .. }
            | Event::Release { .. }
            | Event::Defer { fence: Some(_), .. }
    ) {
        let mut again = scene.clone();
        assert_eq!(again.apply(event), Ok(Effects::default()));
        assert_eq!(again.lane, scene.lane);
    }
}

/// The repeat of a claim returns the same fence.
pub(super) fn check_repeated_claim(scene: &Scene, event: &Event, effects: &Effects) {
    let (
        Event::Claim {
            job,
            worker,
            limit_ms,
            ..
        },
        Some(ClaimResult::Granted { fence }),
    ) = (event, effects.claim)
    else {
        return;
    };
    let repeat = Event::Claim {
        job: *job,
        worker: worker.clone(),
        repeated_fence: Some(fence),
        limit_ms: *limit_ms,
    };
    let mut again = scene.clone();
    let effects = again.apply(&repeat).unwrap();
    assert_eq!(effects.claim, Some(ClaimResult::Granted { fence }));
    assert_eq!(again.lane, scene.lane);
}

/// A refused event changes nothing, and the reason for the refusal is correct.
pub(super) fn check_refusal(before: &Scene, event: &Event, refused: Refused) {
    let mut lane = before.lane.clone();
    let outcome = before.outcomes.get(&event.job()).copied();
    let again = apply(&mut lane, outcome, event, before.now);
    assert_eq!(
        again,
        Err(refused),
        "the repeated event was not refused for the same reason"
    );
    assert_eq!(lane, before.lane, "a refused event changed the lane");
    let live = before.lane.find(event.job());
    match refused {
        Refused::Gone => {
            let is_overdue = live.is_some_and(|(_, entry)| entry.deadline <= before.now);
            let is_refused_if_overdue = matches!(
                event,
                Event::Claim { .. } | Event::Defer { fence: None, .. } | Event::Resume { .. }
            );
            assert!(live.is_none() || (is_overdue && is_refused_if_overdue));
        }
        Refused::NotHead => assert!(live.is_some()),
        Refused::Running => assert!(matches!(live, Some((0, _)))),
        Refused::Fenced => {
            let (_, entry) = live.expect("Fenced is returned only for a live job");
            let (Event::Finish { fence, .. }
            | Event::Retry { fence, .. }
            | Event::Release { fence, .. }
            | Event::Defer {
                fence: Some(fence), ..
            }) = event
            else {
                panic!("only a settlement is refused as Fenced");
            };
            assert!(entry.fence != *fence && entry.settled_fence != *fence);
        }
        Refused::NotDeferred => {
            let (_, entry) = live.expect("NotDeferred is returned only for a live job");
            assert!(matches!(event, Event::Resume { .. }));
            assert!(!matches!(entry.state, State::Deferred(_)));
        }
        Refused::Exists => assert!(matches!(event, Event::Admit(_))),
        Refused::Busy | Refused::Full => assert!(!before.lane.entries.is_empty()),
    }
}
