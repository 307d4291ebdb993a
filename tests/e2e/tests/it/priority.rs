//! Interactive jobs run before batch jobs, but batch jobs always get a tenth of the slots.

use scripted_provider::Recorded;
use serde_json::json;

use crate::fixture::Fixture;

const SLOTS: usize = 10;
/// The number of jobs of each class that wait for a slot.
const WAITING: usize = 20;

#[tokio::test]
async fn interactive_jobs_run_first_and_batch_jobs_keep_a_tenth_of_the_slots() {
    let fixture = Fixture::with(&[("FOREBAY_CONCURRENCY", "10")]).await;
    let gate = fixture.llm.gate_all_requests();
    let mut ids = Vec::new();
    let mut submit = async |count: usize, class: &str| {
        for _ in 0..count {
            let job = json!({ "input": class, "priority": class });
            ids.push(fixture.submit(&job).await);
        }
    };
    // Batch jobs use all slots. Of each class, more jobs wait than there are slots.
    submit(SLOTS, "batch").await;
    fixture.llm.wait_for_requests(SLOTS).await;
    submit(WAITING, "batch").await;
    submit(WAITING, "interactive").await;

    // One slot becomes free at a time, ten times.
    for freed in 1..=SLOTS {
        gate.release(1);
        fixture.llm.wait_for_requests(SLOTS + freed).await;
    }
    let records = fixture.llm.recorded();
    let running = |class: &str| {
        let is_running =
            |record: &&Recorded| record.is_in_flight() && record.request.last_user_text() == class;
        records.iter().filter(is_running).count()
    };
    let slots_in_use = (running("interactive"), running("batch"));
    assert_eq!(slots_in_use, (SLOTS - 1, 1), "{}", fixture.llm.listing());
    gate.open();
    for id in &ids {
        fixture.completed_text(id).await;
    }
}
