//! Interactive goes before batch, which still gets a tenth.

use e2e::scripted::Recorded;
use serde_json::json;

use crate::pair::Pair;

#[tokio::test]
async fn interactive_goes_first_and_batch_is_not_starved() {
    const SLOTS: usize = 10;
    let pair = Pair::with(&[("FOREBAY_CONCURRENCY", "10")]).await;
    let gate = pair.llm.hold();
    let mut ids = Vec::new();
    let mut submit = async |count: usize, class: &str| {
        for n in 0..count {
            let job = json!({ "input": format!("{class} {n}"), "priority": class });
            ids.push(pair.submit(&job).await);
        }
    };
    // All slots are taken, and more of both classes waits than there are slots.
    submit(SLOTS, "batch").await;
    pair.llm.wait_for_requests(SLOTS).await;
    submit(20, "batch").await;
    submit(20, "interactive").await;
    pair.live_jobs_become(50).await;
    let of = |records: &[Recorded], class: &str| {
        let is_it = |r: &&Recorded| r.request.last_user_text().starts_with(class);
        let running = records.iter().filter(|r| r.is_in_flight());
        running.filter(is_it).count()
    };
    gate.release(SLOTS);
    let changed = |records: &[Recorded]| of(records, "interactive") + of(records, "batch") == SLOTS;
    pair.llm
        .wait_for("the next ten calls", |records| {
            records.len() >= 2 * SLOTS && changed(records)
        })
        .await;
    let records = pair.llm.recorded();
    assert_eq!(of(&records, "interactive"), 9, "{}", pair.llm.listing());
    assert_eq!(of(&records, "batch"), 1, "{}", pair.llm.listing());
    gate.open();
    for id in &ids {
        pair.text(id).await;
    }
}
