//! Workers move messages that they cannot read to another queue, with the reason, and continue.

use e2e::fleet::{BATCH, Fleet, INTERACTIVE, TIMEOUT, UNREADABLE};

use crate::{calls, load::FaultLoad, messages, permits, provider, seed};

/// Unreadable messages, each with its queue, its bytes, and a part of the expected reason.
const GARBAGE: [(&str, &[u8], &str); 4] = [
    (INTERACTIVE, b"garbage", "not a wake"),
    (INTERACTIVE, b"\xff\xfe\x00", "not a wake"),
    (BATCH, b"{\"v\":1}", "not a wake"),
    (INTERACTIVE, b"{\"v\":999,\"new\":true}", "version 999"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreadable_messages_are_moved_to_another_queue_and_workers_continue() {
    let _permit = permits::for_test().await;
    let seed = seed::from_env_or_random();
    let llm = provider::start(seed).await;
    let mut fleet = Fleet::builder().openai(&llm).start().await;
    let load = FaultLoad::start(&fleet, "s", GARBAGE.len(), seed).await;
    for (number, (queue, bytes, _)) in (1..).zip(GARBAGE) {
        load.wait_until_fault_is_due(number).await;
        let gate = provider::stop_calls(&llm, 20).await;
        let published = fleet.vhost.publish_raw(queue, bytes).await;
        published.expect("the message is published");
        load.assert_fault_during_load(&llm, "an unreadable message was published");
        messages::wait_for_ready(&fleet, UNREADABLE, number, TIMEOUT).await;
        gate.open();
        provider::wait_for_replies(&llm, 40, TIMEOUT).await;
    }

    let messages = messages::ready(&fleet, UNREADABLE).await;
    assert_eq!(messages.len(), GARBAGE.len(), "{messages:?}");
    for ((queue, bytes, reason), message) in GARBAGE.into_iter().zip(&messages) {
        let headers = &message["properties"]["headers"];
        let actual = headers["x-forebay-reason"].as_str().unwrap_or_default();
        assert!(
            actual.contains(reason),
            "the reason is not {reason}: {message}"
        );
        assert_eq!(headers["x-forebay-queue"], queue, "{message}");
        assert_eq!(headers["x-forebay-bytes"], bytes.len(), "{message}");
        println!("{queue}: {actual}");
        if let Ok(text) = std::str::from_utf8(bytes) {
            assert_eq!(message["payload"], text, "{message}");
        }
    }
    for worker in &mut fleet.workers {
        assert!(worker.is_running(), "{} has ended", worker.name());
    }
    load.assert_all_submits_accepted();
    load.finish_in_order(&fleet).await;
    calls::assert_one_call_per_turn(&llm);
}
