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
    let provider = AccountKey::of_provider("scripted");
    let one_call = ConfiguredLimits {
        concurrency: Some(1),
        ..ConfiguredLimits::default()
    };
    // One worker, because another one would have memory for the large job.
    let mut fleet = Fleet::with_limits(settings(8), [(provider.clone(), one_call)]);
    fleet.start_worker();
    wait_until("the limit is known", async || {
        fleet.member.accounts.is_limited(&provider)
    })
    .await;
    let calls = &fleet.member.memory.calls;
    let most = calls
        .try_reserve(calls.total() - 100_000)
        .expect("nothing is reserved yet");
    let large = fleet.submit(Submit::text(&"x".repeat(200_000))).await;
    // Free bytes cannot be reserved while a job waits for more of them.
    wait_until("the large job waits for memory", async || {
        calls.try_reserve(1).is_none()
    })
    .await;
    let began = Instant::now();
    let small = fleet.submit(Submit::text("small")).await;
    let call = fleet.next_call().await;
    assert_eq!(call.input(), "small");
    call.reply("B");
    assert_eq!(fleet.outcome(small).await.status, Status::Completed);
    // The large job waits for memory for at least 30 s.
    assert!(began.elapsed() < Duration::from_secs(25));
    drop(most);
    fleet.next_call().await.reply("A");
    assert_eq!(fleet.outcome(large).await.status, Status::Completed);
}
