//! Properties that hold after any sequence of events, with several jobs, several workers and moving clocks.
//!
//! Each sequence runs on a [`Scene`], which keeps timers and outcomes as a store does. All properties are checked after
//! each event. A failing sequence is shrunk and printed with its seed.

mod checks;
mod steps;

use std::{collections::BTreeMap, sync::Arc};

use proptest::{collection::vec, prelude::*};

use self::{
    checks::{check_claim, check_fence, check_refusal, check_repeat, check_state, check_step},
    steps::{Step, event, step},
};
use super::{
    Claim, Event, LiveProcesses, Refused,
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
        // A repair admits an ended job again.
        let mut admitted: BTreeMap<JobId, u32> = BTreeMap::new();
        let mut ended: BTreeMap<JobId, u32> = BTreeMap::new();
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
                        *admitted.entry(event.job()).or_default() += 1;
                    }
                    for ending in &effects.ended {
                        *ended.entry(ending.entry.job).or_default() += 1;
                    }
                    check_step(&before, &event, &scene, &effects);
                    check_fence(&before, &event, &effects);
                    check_repeat(&scene, &event);
                    check_claim(&scene, &event, &effects);
                }
                Err(refused) => check_refusal(&before, &event, refused),
            }
            check_state(&scene);
            for (job, times) in &admitted {
                let live = u32::from(scene.lane.find(*job).is_some());
                let ends = ended.get(job).copied().unwrap_or(0);
                prop_assert_eq!(*times, ends + live, "job {} must end once for each admission", job);
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
        // Only timers drive the following steps: no earlier message has survived.
        for _ in 0..200 {
            let Some((due, at)) = scene.timers.iter().min_by_key(|(_, at)| **at) else { break };
            let due = *due;
            scene.now = scene.now.max(*at).plus_ms(1);
            let presence = LiveProcesses { at: scene.now, alive: Arc::default() };
            let effects = scene.apply(&Event::Tick { job: due, presence: Some(presence) }).unwrap();
            if let Some(head) = effects.wake {
                let claim = Event::Claim { job: head, worker: process("d"), repeated_fence: None, limit_ms: 1_000 };
                let claimed = match scene.apply(&claim) {
                    // The woken head is past its own deadline, so it cannot be claimed. Its timer is due too, and a
                    // later tick expires it.
                    Err(Refused::Gone) => continue,
                    claimed => claimed.unwrap(),
                };
                let Some(Claim::Granted { fence }) = claimed.claim else {
                    panic!("the lane woke a head that cannot be claimed yet");
                };
                let finish = Event::Finish { job: head, fence, error: None, hold_ms: None };
                scene.apply(&finish).unwrap();
            }
        }
        prop_assert!(scene.lane.entries.is_empty(), "stuck: {:?}", scene.lane);
    }
}
