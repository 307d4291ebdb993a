//! Messages that cannot be read are moved to a queue of their own, with the reason. The workers continue.

use e2e::fleet::{BATCH, Fleet, INTERACTIVE, LIMIT, UNREADABLE};

use crate::{calls, load::Load, machine, messages, provider, seed};

/// The queue and the bytes of each unreadable message, and the expected reason.
const GARBAGE: [(&str, &[u8], &str); 4] = [
    (INTERACTIVE, b"garbage", "not a wake"),
    (INTERACTIVE, b"\xff\xfe\x00", "not a wake"),
    (BATCH, b"{\"v\":1}", "not a wake"),
    (INTERACTIVE, b"{\"v\":999,\"new\":true}", "version 999"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreadable_messages_are_set_aside_and_the_workers_continue() {
    let _permit = machine::permit().await;
    let seed = seed::of_test();
    let llm = provider::start(seed).await;
    let mut fleet = Fleet::builder().openai(&llm).start().await;
    let load = Load::start(&fleet, "s", seed).await;
    for (n, (queue, bytes, _)) in (1..).zip(GARBAGE) {
        load.wait_until_accepted(n, GARBAGE.len() + 1).await;
        let gate = provider::hold(&llm, 20).await;
        let published = fleet.vhost.publish_raw(queue, bytes).await;
        published.expect("a message");
        load.assert_struck(&llm, "an unreadable message came");
        messages::wait_until_ready(&fleet, UNREADABLE, n, LIMIT).await;
        gate.open();
        provider::wait_for_replies(&llm, 40, LIMIT).await;
    }

    let messages = messages::ready(&fleet, UNREADABLE).await;
    assert_eq!(messages.len(), GARBAGE.len(), "{messages:?}");
    for ((queue, bytes, reason), message) in GARBAGE.into_iter().zip(&messages) {
        let headers = &message["properties"]["headers"];
        let reported = headers["x-forebay-reason"].as_str().unwrap_or_default();
        assert!(reported.contains(reason), "{message}");
        assert_eq!(headers["x-forebay-queue"], queue, "{message}");
        assert_eq!(headers["x-forebay-bytes"], bytes.len(), "{message}");
        println!("{queue}: {reported}");
        if let Ok(text) = std::str::from_utf8(bytes) {
            assert_eq!(message["payload"], text, "{message}");
        }
    }
    for worker in &mut fleet.workers {
        assert!(worker.is_running(), "{} has ended", worker.name());
    }
    load.assert_no_failed_submit();
    load.end_in_order(&fleet).await;
    calls::assert_called_once(&llm);
}
