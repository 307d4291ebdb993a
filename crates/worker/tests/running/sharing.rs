//! How the two classes share the slots of a worker. The unit tests of `slots.rs` test the rule itself.

use crate::harness::{Fleet, PendingCall, Submit, settings};

const BATCH: &str = "batch";
const INTERACTIVE: &str = "interactive";

/// A worker that finds many jobs of each class in the queue.
async fn saturated(concurrency: usize, jobs_of_each_class: usize) -> Fleet {
    let mut fleet = Fleet::without_worker(settings(concurrency));
    for _ in 0..jobs_of_each_class {
        fleet.submit(Submit::text(BATCH).batch()).await;
        fleet.submit(Submit::text(INTERACTIVE)).await;
    }
    fleet.start_worker();
    fleet
}

fn count(running: &[PendingCall], class: &str) -> usize {
    running.iter().filter(|call| call.input() == class).count()
}

/// Ends one call of the class. Returns the class of the call that gets the slot.
async fn replace(fleet: &Fleet, running: &mut Vec<PendingCall>, class: &str) -> String {
    let index = running
        .iter()
        .position(|call| call.input() == class)
        .expect("a call of the class runs");
    running.remove(index).reply("done");
    let next = fleet.next_call().await;
    let class = next.input();
    running.push(next);
    class
}

#[tokio::test]
async fn with_ten_slots_batch_jobs_have_one_slot_and_interactive_jobs_the_others() {
    let fleet = saturated(10, 60).await;
    let mut running = Vec::new();
    for _ in 0..10 {
        running.push(fleet.next_call().await);
    }
    // At the start, the class whose wakes arrived first may have more than its share. These replacements correct that.
    for _ in 0..10 {
        let ended = if count(&running, BATCH) > 1 {
            BATCH
        } else {
            INTERACTIVE
        };
        replace(&fleet, &mut running, ended).await;
    }
    let mut interactive_starts = 0;
    for _ in 0..20 {
        assert!(count(&running, BATCH) >= 1, "no batch job has a slot");
        interactive_starts +=
            usize::from(replace(&fleet, &mut running, INTERACTIVE).await == INTERACTIVE);
    }
    assert!(
        interactive_starts >= 16,
        "interactive jobs got {interactive_starts} of 20 free slots"
    );
    while count(&running, BATCH) > 1 {
        replace(&fleet, &mut running, BATCH).await;
    }
    assert_eq!(
        replace(&fleet, &mut running, BATCH).await,
        BATCH,
        "batch jobs lost their share"
    );
    assert!(
        fleet.call_already_made().await.is_none(),
        "more calls run than the ten slots allow"
    );
}

#[tokio::test]
async fn with_one_slot_batch_jobs_get_their_share_of_the_starts() {
    let fleet = saturated(1, 30).await;
    let mut batch_starts = 0;
    for _ in 0..30 {
        let call = fleet.next_call().await;
        batch_starts += usize::from(call.input() == BATCH);
        call.reply("done");
    }
    assert!(
        (2..=8).contains(&batch_starts),
        "batch jobs got {batch_starts} of 30 starts"
    );
}

#[tokio::test]
async fn jobs_of_one_class_may_use_all_slots_if_no_other_jobs_wait() {
    for submit in [Submit::text, |text: &str| Submit::text(text).batch()] {
        let mut fleet = Fleet::without_worker(settings(10));
        for _ in 0..11 {
            fleet.submit(submit("a")).await;
        }
        fleet.start_worker();
        let mut running = Vec::new();
        for _ in 0..10 {
            running.push(fleet.next_call().await);
        }
        assert!(
            fleet.call_already_made().await.is_none(),
            "more calls run than the ten slots allow"
        );
        running.pop().expect("a call runs").reply("done");
        fleet.next_call().await;
    }
}

#[tokio::test]
async fn slots_that_become_free_at_once_go_to_interactive_jobs_first() {
    let fleet = saturated(10, 80).await;
    let mut running = Vec::new();
    for _ in 0..10 {
        running.push(fleet.next_call().await);
    }
    for round in 0..4 {
        for call in running.drain(..) {
            call.reply("done");
        }
        for _ in 0..10 {
            running.push(fleet.next_call().await);
        }
        let batch = count(&running, BATCH);
        assert!(
            batch <= 2,
            "batch jobs got {batch} of 10 slots in round {round}"
        );
    }
}
