//! Messages that nobody can read: set aside with the reason, while the workers go on.

use e2e::fleet::{BATCH, Fleet, INTERACTIVE, LIMIT, UNREADABLE};

use crate::{calls, load::Load, machine, messages, provider, seed};

/// What no release wrote, where it was, and what is said of it.
const GARBAGE: [(&str, &[u8], &str); 4] = [
    (INTERACTIVE, b"garbage", "not a wake"),
    (INTERACTIVE, b"\xff\xfe\x00", "not a wake"),
    (BATCH, b"{\"v\":1}", "not a wake"),
    (INTERACTIVE, b"{\"v\":999,\"new\":true}", "version 999"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_read_is_set_aside_and_the_workers_go_on() {
    let _place = machine::place().await;
    let seed = seed::of_test();
    let llm = provider::start(seed).await;
    let mut fleet = Fleet::builder().openai(&llm).start().await;
    let load = Load::start(&fleet, "s", seed).await;
    for (n, (queue, bytes, _)) in (1..).zip(GARBAGE) {
        load.reaches(n, GARBAGE.len() + 1).await;
        let gate = provider::hold(&llm, 20).await;
        let published = fleet.vhost.publish_raw(queue, bytes).await;
        published.expect("a message");
        load.assert_struck(&llm, "an unreadable message came");
        messages::become_ready(&fleet, UNREADABLE, n, LIMIT).await;
        gate.open();
        provider::answers_more(&llm, 40, LIMIT).await;
    }

    let messages = messages::ready(&fleet, UNREADABLE).await;
    assert_eq!(messages.len(), GARBAGE.len(), "{messages:?}");
    for ((queue, bytes, reason), message) in GARBAGE.into_iter().zip(&messages) {
        let headers = &message["properties"]["headers"];
        let said = headers["x-forebay-reason"].as_str().unwrap_or_default();
        assert!(said.contains(reason), "{message}");
        assert_eq!(headers["x-forebay-queue"], queue, "{message}");
        assert_eq!(headers["x-forebay-bytes"], bytes.len(), "{message}");
        println!("{queue}: {said}");
        if let Ok(text) = std::str::from_utf8(bytes) {
            assert_eq!(message["payload"], text, "{message}");
        }
    }
    for worker in &mut fleet.workers {
        assert!(worker.is_running(), "{} has ended", worker.name());
    }
    load.assert_untroubled();
    load.end_in_order(&fleet).await;
    calls::assert_asked_once(&llm);
}
