//! Properties that hold after any sequence of events, with several jobs, several workers and a clock that advances.
//!
//! Each sequence runs on a [`Scene`], which keeps timers and outcomes as a store does. All properties are checked after
//! each event. A failing sequence is shrunk and printed with its seed.

mod checks;
mod steps;

use std::{collections::BTreeMap, sync::Arc};

use proptest::{collection::vec, prelude::*};

use self::{
    checks::{
        check_fence, check_refusal, check_repeated_claim, check_repeated_settlement, check_state,
        check_step,
    },
    steps::{Step, event, step},
};
use super::{
    ClaimResult, Event, LiveProcesses, Refused,
    examples::scene::{Scene, process},
};
use crate::ids::JobId;

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 1_500,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_property_holds_after_any_sequence_of_events(steps in vec(step(), 1..60)) {
        let mut scene = Scene::new();
        // How often each job was admitted and has ended. A repair admits an ended job again.
        let mut admissions: BTreeMap<JobId, u32> = BTreeMap::new();
        let mut ends: BTreeMap<JobId, u32> = BTreeMap::new();
        for step in steps {
            if let Step::AdvanceClock { ms } = step {
                scene.advance_clock(ms);
                continue;
            }
            let event = event(&scene, step).expect("every step except AdvanceClock is an event");
            let before = scene.clone();
            match scene.apply(&event) {
                Ok(effects) => {
                    if matches!(event, Event::Admit(_)) {
                        *admissions.entry(event.job()).or_default() += 1;
                    }
                    for ended in &effects.ended {
                        *ends.entry(ended.entry.job).or_default() += 1;
                    }
                    check_step(&before, &event, &scene, &effects);
                    check_fence(&before, &event, &effects);
                    check_repeated_settlement(&scene, &event);
                    check_repeated_claim(&scene, &event, &effects);
                }
                Err(refused) => check_refusal(&before, &event, refused),
            }
            check_state(&scene);
            for (job, admissions) in &admissions {
                let live = u32::from(scene.lane.find(*job).is_some());
                let ends = ends.get(job).copied().unwrap_or(0);
                prop_assert_eq!(*admissions, ends + live, "job {} must end once for each admission", job);
            }
        }
    }

    #[test]
    fn from_any_lane_the_sweeper_and_one_worker_end_every_job(steps in vec(step(), 1..40)) {
        let mut scene = Scene::new();
        for step in steps {
            match event(&scene, step.clone()) {
                Some(event) => drop(scene.apply(&event)),
                None => if let Step::AdvanceClock { ms } = step { scene.advance_clock(ms) },
            }
        }
        // All earlier wakes are lost, so only timers start the following steps.
        for _ in 0..200 {
            let earliest = scene.timers.iter().min_by_key(|(_, timer)| **timer);
            let Some((job, timer)) = earliest.map(|(job, timer)| (*job, *timer)) else { break };
            scene.now = scene.now.max(timer).plus_ms(1);
            let live = LiveProcesses { read_at: scene.now, alive: Arc::default() };
            let effects = scene.apply(&Event::Tick { job, live: Some(live) }).unwrap();
            if let Some(head) = effects.wake {
                let claim = Event::Claim { job: head, worker: process("d"), repeated_fence: None, limit_ms: 1_000 };
                let effects = match scene.apply(&claim) {
                    // The woken head is past its deadline, so it cannot be claimed. Its timer is due too, and a
                    // later tick expires the job.
                    Err(Refused::Gone) => continue,
                    result => result.unwrap(),
                };
                let Some(ClaimResult::Granted { fence }) = effects.claim else {
                    panic!("a head that cannot be claimed yet got a wake");
                };
                let finish = Event::Finish { job: head, fence, error: None, hold_ms: None };
                scene.apply(&finish).unwrap();
            }
        }
        prop_assert!(scene.lane.entries.is_empty(), "jobs did not end: {:?}", scene.lane);
    }
}
