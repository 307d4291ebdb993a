//! The properties of a lane, of a step, of a repeat and of a refusal.

use std::collections::BTreeSet;

use super::steps::newest_fence;
use crate::{
    class::Class,
    ids::JobId,
    job::Status,
    lane::{
        Claim, Effects, Event, IfBusy, LANE_MAX, Lane, LaneCounts, PUBLISH_LIMIT_MS, Refused,
        State, apply, examples::scene::Scene,
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
    let timed: BTreeSet<JobId> = scene.timers.keys().copied().collect();
    assert_eq!(timed, live, "each live job has one timer, no other has one");
    for (position, entry) in scene.lane.entries.iter().enumerate() {
        let timer = scene.timers[&entry.job];
        assert!(timer <= entry.deadline, "the timer is after the deadline");
        assert!(entry.settled <= entry.fence);
        assert!(!scene.records.contains_key(&entry.job), "live and ended");
        match &entry.state {
            State::Running { until, .. } => {
                assert_eq!(position, 0, "only the head runs");
                assert!(timer <= *until, "the timer is after the limit of the claim");
                assert!(scene.lane.hold_until.is_none(), "a job runs under a hold");
                assert!(entry.claimed && entry.fence > entry.settled);
                assert!(entry.attempts.last().unwrap().ended_at.is_none());
            }
            State::Queued { not_before } => {
                assert!(
                    position == 0 || not_before.is_none(),
                    "only a head has a not_before"
                );
                if position == 0
                    && let Some(not_before) = not_before
                {
                    assert_eq!(timer, (*not_before).min(entry.deadline));
                }
                let open = entry
                    .attempts
                    .iter()
                    .any(|attempt| attempt.ended_at.is_none());
                assert!(!open, "a queued job has an attempt that has not ended");
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
            !head.tool_results,
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
        let all = counts[class];
        let each = [all.ready, all.in_flight, all.behind_session, all.retry_wait];
        assert!(each.iter().all(|count| *count >= 0));
        assert!(all.ready + all.in_flight + all.retry_wait <= 1);
    }
    assert!(scene.lane.entries.len() <= LANE_MAX);
    let text = serde_json::to_string(&scene.lane).unwrap();
    let read: Lane = serde_json::from_str(&text).unwrap();
    assert_eq!(
        read, scene.lane,
        "the lane differs after it was written and read as JSON"
    );
}

/// The properties of a step from one state to the next.
pub(super) fn check_step(before: &Scene, event: &Event, after: &Scene, effects: &Effects) {
    for entry in &after.lane.entries {
        if before.lane.find(entry.job).is_none() {
            assert!(matches!(event, Event::Admit(admit) if admit.job == entry.job));
        }
        let older = newest_fence(before, entry.job);
        match event {
            Event::Claim { job, .. } if *job == entry.job => assert!(entry.fence >= older),
            Event::Admit(admit) if admit.job == entry.job && admit.repair => {
                assert_eq!(entry.fence, older + 1, "a repair raises the fence by 1");
            }
            _ => assert_eq!(
                entry.fence, older,
                "only a claim or a repair raises a fence"
            ),
        }
    }
    for ending in &effects.ended {
        let job = ending.entry.job;
        assert!(
            before.lane.find(job).is_some(),
            "the ended job was not live"
        );
        assert!(
            after.lane.find(job).is_none(),
            "the ended job is still live"
        );
        assert!(ending.status.is_terminal());
        assert_eq!(ending.error.is_none(), ending.status == Status::Completed);
        if ending.status == Status::Completed {
            assert_eq!(
                before.lane.entries[0].job, job,
                "a job completed that was not the head"
            );
            assert!(effects.keep_turns);
        }
        let running = matches!(ending.entry.state, State::Running { .. });
        let is_dropped = effects
            .dropped_calls
            .iter()
            .any(|(_, dropped)| *dropped == job);
        let ended_by_its_attempt = matches!(event, Event::Finish { .. } | Event::Retry { .. });
        assert_eq!(
            is_dropped,
            running && !ended_by_its_attempt,
            "dropped_calls are the running jobs that another event ended"
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
    // The remaining entries keep their order.
    let stays = |lane: &Lane| -> Vec<JobId> {
        let both =
            |job: &JobId| before.lane.find(*job).is_some() && after.lane.find(*job).is_some();
        lane.entries
            .iter()
            .map(|entry| entry.job)
            .filter(both)
            .collect()
    };
    assert_eq!(stays(&before.lane), stays(&after.lane));
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
        Event::Finish { fence, .. } | Event::Retry { fence, .. } | Event::Release { fence, .. }
            if *effects != Effects::default() =>
        {
            let (position, entry) = live.expect("a settling event has effects only for a live job");
            assert_eq!(
                (position, entry.fence),
                (0, *fence),
                "the fence is not the newest, or the job is not the head"
            );
            assert!(entry.claimed && entry.settled < *fence);
        }
        Event::Claim {
            worker,
            repeated_fence,
            ..
        } => {
            let (_, entry) = live.expect("a claim is answered for a live job");
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
        let head = after.lane.head().expect("a wake is of a head");
        assert_eq!(head.job, job);
        assert_eq!(head.state, State::Queued { not_before: None });
        assert!(after.timers[&job] <= after.now.plus_ms(PUBLISH_LIMIT_MS));
    }
    let old = before.lane.head().map(|head| head.job);
    if let Some(head) = after.lane.head()
        && Some(head.job) != old
    {
        assert_ne!(effects.wake.is_some(), after.lane.hold_until.is_some());
        assert!(old.is_none_or(|old| {
            let entry = &before.lane.entries[0];
            after.lane.find(old).is_none() || (!entry.claimed && head.tool_results)
        }));
    }
    let ends_hold = match event {
        Event::Cancel { .. } => true,
        Event::Admit(admit) => {
            admit.tool_results || matches!(admit.if_busy, IfBusy::Rollback | IfBusy::Interrupt)
        }
        _ => false,
    };
    assert!(!ends_hold || after.lane.hold_until.is_none());
    match (before.lane.hold_until, after.lane.hold_until) {
        (None, Some(_)) => assert!(matches!(event, Event::Finish { error: None, .. })),
        (Some(was), Some(is)) => assert_eq!(was, is, "a hold is not moved"),
        (Some(hold), None) => assert!(
            hold <= after.now || ends_hold,
            "a hold ends only at its time, by tool results or by a cancellation"
        ),
        (None, None) => {}
    }
}

/// The repeat of a settling call succeeds and changes nothing.
pub(super) fn check_repeat(scene: &Scene, event: &Event) {
    if matches!(
        event,
        Event::Finish { .. } | Event::Retry { .. } | Event::Release { .. }
    ) {
        let mut again = scene.clone();
        assert_eq!(again.apply(event), Ok(Effects::default()));
        assert_eq!(again.lane, scene.lane);
    }
}

/// The repeat of a claim returns the same fence.
pub(super) fn check_claim(scene: &Scene, event: &Event, effects: &Effects) {
    let (
        Event::Claim {
            job,
            worker,
            limit_ms,
            ..
        },
        Some(Claim::Granted { fence }),
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
    assert_eq!(effects.claim, Some(Claim::Granted { fence }));
    assert_eq!(again.lane, scene.lane);
}

pub(super) fn check_refusal(before: &Scene, event: &Event, refused: Refused) {
    let mut lane = before.lane.clone();
    let record = before.records.get(&event.job()).copied();
    let again = apply(&mut lane, record, event, before.now);
    assert_eq!(
        again,
        Err(refused),
        "the repeated event is refused with another reason"
    );
    assert_eq!(lane, before.lane, "a refused event changes nothing");
    let live = before.lane.find(event.job());
    match refused {
        Refused::Gone => {
            let late = live.is_some_and(|(_, entry)| entry.deadline <= before.now);
            assert!(live.is_none() || (late && matches!(event, Event::Claim { .. })));
        }
        Refused::NotHead => assert!(live.is_some()),
        Refused::Running => assert!(matches!(live, Some((0, _)))),
        Refused::Fenced => {
            let (_, entry) = live.expect("Fenced is returned only for a live job");
            let (Event::Finish { fence, .. }
            | Event::Retry { fence, .. }
            | Event::Release { fence, .. }) = event
            else {
                panic!("only a finish, retry or release is refused as Fenced");
            };
            assert!(entry.fence != *fence && entry.settled != *fence);
        }
        Refused::Exists => assert!(matches!(event, Event::Admit(_))),
        Refused::Busy | Refused::Full => assert!(!before.lane.entries.is_empty()),
    }
}
