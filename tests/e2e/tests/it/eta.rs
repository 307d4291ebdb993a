//! The expected time until the end of a job, under a load near the capacity of one process.

use e2e::expected_times::{Load, SLOTS};
use scripted_provider::ScriptedLlm;

use crate::fixture::Fixture;

#[tokio::test]
async fn expected_times_are_mostly_right_and_few_polls_are_needed() {
    let llm = ScriptedLlm::start().await;
    let load = Load::on(&llm);
    let slots = SLOTS.to_string();
    let fixture = Fixture::with_provider(llm, &[("FOREBAY_CONCURRENCY", &slots)]).await;
    load.assert_mostly_right(&fixture.client).await;
}
