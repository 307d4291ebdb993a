//! The expected time until the end of a job, under a load near the capacity of two workers. The jobs are submitted and polled at two
//! gateways, which measure the speed of the fleet.

use e2e::{
    expected_times::{Load, SLOTS},
    fleet::Fleet,
};
use scripted_provider::ScriptedLlm;

use crate::test_lock;

const WORKERS: usize = 2;

#[tokio::test]
async fn expected_times_are_mostly_right_and_few_polls_are_needed() {
    let _guard = test_lock::exclusive().await;
    let llm = ScriptedLlm::start().await;
    let load = Load::on(&llm);
    let fleet = Fleet::builder()
        .workers(WORKERS)
        .openai(&llm)
        .env("FOREBAY_CONCURRENCY", (SLOTS / WORKERS).to_string())
        .start()
        .await;
    load.assert_mostly_right(&fleet.client).await;
}
