//! How the two classes share the slots. The rule itself is tested where it is (`slots.rs`); here it is
//! shown to hold in a worker.

use crate::harness::{Asked, Fleet, Submit, settings};

const BATCH: &str = "batch";
const INTERACTIVE: &str = "interactive";

async fn saturated(concurrency: usize, jobs_of_each: usize) -> Fleet {
    let mut fleet = Fleet::idle(settings(concurrency));
    for _ in 0..jobs_of_each {
        fleet.submit(Submit::text(BATCH).batch()).await;
        fleet.submit(Submit::text(INTERACTIVE)).await;
    }
    fleet.begin();
    fleet
}

fn count(running: &[Asked], class: &str) -> usize {
    running
        .iter()
        .filter(|asked| asked.input() == class)
        .count()
}

/// Ends one call of the class and takes the one that gets its slot.
async fn replace(fleet: &Fleet, running: &mut Vec<Asked>, class: &str) -> String {
    let at = running
        .iter()
        .position(|asked| asked.input() == class)
        .expect("one of the class runs");
    running.remove(at).say("done");
    let next = fleet.asked().await;
    let class = next.input();
    running.push(next);
    class
}

#[tokio::test]
async fn with_ten_slots_batch_has_one_and_interactive_goes_first_at_the_others() {
    let fleet = saturated(10, 60).await;
    let mut running = Vec::new();
    for _ in 0..10 {
        running.push(fleet.asked().await);
    }
    // Whoever came first may have had more than its share at the start: it evens out.
    for _ in 0..10 {
        let over = if count(&running, BATCH) > 1 {
            BATCH
        } else {
            INTERACTIVE
        };
        replace(&fleet, &mut running, over).await;
    }
    let mut interactive = 0;
    for _ in 0..20 {
        assert!(count(&running, BATCH) >= 1, "batch starves");
        interactive += usize::from(replace(&fleet, &mut running, INTERACTIVE).await == INTERACTIVE);
    }
    assert!(
        interactive >= 16,
        "interactive got {interactive} of 20 slots"
    );
    while count(&running, BATCH) > 1 {
        replace(&fleet, &mut running, BATCH).await;
    }
    assert_eq!(
        replace(&fleet, &mut running, BATCH).await,
        BATCH,
        "the share of batch goes to batch"
    );
    assert!(fleet.asked_already().await.is_none(), "there are ten slots");
}

#[tokio::test]
async fn with_one_slot_batch_gets_its_turn_and_no_more() {
    let fleet = saturated(1, 30).await;
    let mut batch = 0;
    for _ in 0..30 {
        let asked = fleet.asked().await;
        batch += usize::from(asked.input() == BATCH);
        asked.say("done");
    }
    assert!((2..=8).contains(&batch), "batch had {batch} of 30 turns");
}

#[tokio::test]
async fn one_class_alone_may_use_all_slots() {
    for submit in [Submit::text, |text: &str| Submit::text(text).batch()] {
        let mut fleet = Fleet::idle(settings(10));
        for _ in 0..11 {
            fleet.submit(submit("a")).await;
        }
        fleet.begin();
        let mut running = Vec::new();
        for _ in 0..10 {
            running.push(fleet.asked().await);
        }
        assert!(fleet.asked_already().await.is_none(), "there are ten slots");
        running.pop().expect("one runs").say("done");
        fleet.asked().await;
    }
}

#[tokio::test]
async fn slots_that_fall_free_at_once_go_to_interactive_first_too() {
    let fleet = saturated(10, 80).await;
    let mut running = Vec::new();
    for _ in 0..10 {
        running.push(fleet.asked().await);
    }
    for round in 0..4 {
        for asked in running.drain(..) {
            asked.say("done");
        }
        for _ in 0..10 {
            running.push(fleet.asked().await);
        }
        let batch = count(&running, BATCH);
        assert!(batch <= 2, "batch got {batch} of 10 slots in round {round}");
    }
}
