//! Jobs with large inputs: their memory is reserved before they are claimed, and the inputs are read after the claim.

use std::time::Duration;

use faulty_store::StoreCall;
use forebay_shared::{
    account::{AccountKey, ConfiguredLimits},
    job::Status,
};
use tokio::time::{Instant, sleep};

use crate::harness::{Fleet, Submit, settings, wait_until};

#[tokio::test]
async fn a_large_job_is_claimed_once_there_is_memory_and_its_inputs_are_read_once() {
    let fleet = Fleet::start(settings(8));
    let calls = &fleet.member.memory.calls;
    let all = calls
        .try_reserve(u64::MAX)
        .expect("nothing is reserved yet");
    let large = fleet
        .submit(Submit::text(&"x".repeat(200_000)).session("s"))
        .await;
    // A small job runs while the large one waits.
    let small = fleet.submit(Submit::text("small")).await;
    fleet.next_call().await.reply("B");
    assert_eq!(fleet.outcome(small).await.status, Status::Completed);
    assert!(fleet.entry(large).await.attempts.is_empty());
    drop(all);
    let call = fleet.next_call().await;
    assert!(calls.available() < calls.total() - 400_000);
    call.reply("A");
    assert_eq!(fleet.outcome(large).await.status, Status::Completed);
    assert_eq!(fleet.store.call_count(StoreCall::RunInputs), 1);
    wait_until("the memory is free again", async || {
        calls.available() == calls.total()
    })
    .await;
}

#[tokio::test]
async fn a_repeated_message_of_a_running_job_reads_no_inputs() {
    let mut fleet = Fleet::start(settings(2));
    let job = fleet.submit(Submit::text(&"x".repeat(200_000))).await;
    let call = fleet.next_call().await;
    // Another worker gets the message again, as after a reconnect to the queue.
    fleet.start_another_worker();
    let loads = fleet.store.call_count(StoreCall::Load);
    // The worker that runs the job takes some of the messages, too.
    wait_until("the other worker looks at the job", async || {
        fleet.wake(job).await;
        fleet.store.call_count(StoreCall::Load) > loads
    })
    .await;
    sleep(Duration::from_millis(100)).await;
    assert_eq!(fleet.store.call_count(StoreCall::RunInputs), 1);
    call.reply("A");
    assert_eq!(fleet.outcome(job).await.status, Status::Completed);
    assert!(fleet.call_already_made().await.is_none());
}

#[tokio::test]
async fn a_job_that_waits_for_memory_holds_no_permit_of_its_provider() {
    let one_call = ConfiguredLimits {
        concurrency: Some(1),
        ..ConfiguredLimits::default()
    };
    let fleet = Fleet::limited(AccountKey::of_provider("scripted"), one_call).await;
    let calls = &fleet.member.memory.calls;
    let all = calls
        .try_reserve(u64::MAX)
        .expect("nothing is reserved yet");
    let loads = fleet.store.call_count(StoreCall::Load);
    let large = fleet.submit(Submit::text(&"x".repeat(200_000))).await;
    wait_until("the worker knows the size of the job", async || {
        fleet.store.call_count(StoreCall::Load) > loads
    })
    .await;
    let began = Instant::now();
    let small = fleet.submit(Submit::text("small")).await;
    fleet.next_call().await.reply("B");
    assert_eq!(fleet.outcome(small).await.status, Status::Completed);
    // The wait for memory takes 30 s.
    assert!(began.elapsed() < Duration::from_secs(25));
    drop(all);
    fleet.next_call().await.reply("A");
    assert_eq!(fleet.outcome(large).await.status, Status::Completed);
}
