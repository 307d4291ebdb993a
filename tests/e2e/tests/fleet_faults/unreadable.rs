//! Messages that nobody can read: set aside with the reason, while the workers go on.

use e2e::fleet::{BATCH, Fleet, INTERACTIVE, LIMIT, UNREADABLE};

use crate::{
    machine, messages, provider,
    traffic::{Pace, Traffic},
};

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
    let llm = provider::start().await;
    let mut fleet = Fleet::builder().workers(2).openai(&llm).start().await;
    let traffic = Traffic::start(&fleet, Pace::USUAL);
    let mut set_aside = 0;
    for (queue, bytes, _) in GARBAGE {
        let gate = provider::hold(&llm, 20).await;
        let published = fleet.vhost.publish_raw(queue, bytes).await;
        published.expect("a message");
        provider::assert_unfinished(&llm, "an unreadable message came");
        set_aside += 1;
        messages::become_ready(&fleet, UNREADABLE, set_aside, LIMIT).await;
        gate.open();
        provider::answers_more(&llm, Pace::USUAL.sessions, LIMIT).await;
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
    assert!(traffic.refusals().is_empty());
    traffic.end_in_order(&fleet).await;
    provider::assert_asked_once(&llm);
}
