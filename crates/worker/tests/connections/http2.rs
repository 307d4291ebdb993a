//! HTTP/2: many calls on a connection.

use std::{collections::BTreeMap, sync::Arc};

use forebay_worker::provider::{Failure, Retry, openai::OpenAi};
use h2::Reason;
use tokio::task::JoinSet;

use crate::{
    ask, provider,
    server2::{Asked, Server},
};

type Calls = JoinSet<Result<(), Failure>>;

fn begin(provider: &Arc<OpenAi>, count: usize) -> Calls {
    let mut calls = JoinSet::new();
    for _ in 0..count {
        let provider = Arc::clone(provider);
        calls.spawn(async move { ask(&provider).await.map(drop) });
    }
    calls
}

async fn all_asked(server: &mut Server, count: usize) -> Vec<Asked> {
    let mut asked = Vec::new();
    for _ in 0..count {
        asked.push(server.asked().await);
    }
    asked
}

fn on_each_connection(asked: &[Asked]) -> BTreeMap<usize, usize> {
    let mut counts = BTreeMap::new();
    for one in asked {
        *counts.entry(one.connection).or_default() += 1;
    }
    counts
}

async fn all_answered(mut calls: Calls, asked: Vec<Asked>) {
    asked.into_iter().for_each(Asked::answer);
    while let Some(done) = calls.join_next().await {
        done.expect("no panic").expect("a reply");
    }
}

#[tokio::test]
async fn a_burst_of_calls_makes_no_more_connections_than_it_needs() {
    let mut server = Server::start(1_000).await;
    let provider = Arc::new(provider(&server.base_url, true));
    let calls = begin(&provider, 250);
    let asked = all_asked(&mut server, 250).await;
    let counts = on_each_connection(&asked);
    assert_eq!(counts.values().copied().collect::<Vec<_>>(), [100, 100, 50]);
    assert!(asked.iter().all(|one| one.path == "/v1/chat/completions"));
    all_answered(calls, asked).await;

    // The same connections serve the next burst.
    let calls = begin(&provider, 250);
    let asked = all_asked(&mut server, 250).await;
    all_answered(calls, asked).await;
    assert_eq!(server.connections(), 3);
}

/// Otherwise some would wait unseen within a connection until others are answered, which none here is.
#[tokio::test]
async fn no_connection_gets_more_calls_than_its_server_takes() {
    let mut server = Server::start(10).await;
    let provider = Arc::new(provider(&server.base_url, true));
    let calls = begin(&provider, 45);
    let asked = all_asked(&mut server, 45).await;
    let counts = on_each_connection(&asked);
    assert!(counts.values().all(|count| *count <= 10), "{counts:?}");
    all_answered(calls, asked).await;
}

#[tokio::test]
async fn a_call_that_is_given_up_leaves_its_connection_to_the_others() {
    let mut server = Server::start(100).await;
    let provider = Arc::new(provider(&server.base_url, true));
    let mut calls = begin(&provider, 1);
    let given_up = server.asked().await;
    let others = begin(&provider, 1);
    let other = server.asked().await;
    calls.abort_all();
    assert_eq!(given_up.given_up().await, Reason::CANCEL);
    all_answered(others, vec![other]).await;
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn what_the_server_has_not_begun_may_be_asked_again_at_once() {
    let mut server = Server::start(100).await;
    let provider = Arc::new(provider(&server.base_url, true));
    for (reason, retry) in [
        (Reason::REFUSED_STREAM, Retry::AtOnce),
        (Reason::INTERNAL_ERROR, Retry::Backoff),
    ] {
        let mut calls = begin(&provider, 1);
        server.asked().await.reset(reason);
        let failure = calls.join_next().await.expect("one").expect("no panic");
        let failure = failure.expect_err("a reset");
        assert_eq!(failure.error.code, "connection_failed", "{reason:?}");
        assert_eq!(failure.retry, retry, "{reason:?}");
    }
}

/// Up to its very end the server may still take calls (RFC 9113, section 6.8), or say that it did not.
#[tokio::test]
async fn a_connection_in_its_orderly_end_loses_no_call_and_later_ones_have_another() {
    let mut server = Server::start(100).await;
    let provider = Arc::new(provider(&server.base_url, true));
    let first = begin(&provider, 1);
    let asked = server.asked().await;
    server.go_away();
    all_answered(first, vec![asked]).await;
    let mut connection = 0;
    while connection == 0 {
        let mut next = begin(&provider, 1);
        tokio::select! {
            asked = server.asked() => {
                connection = asked.connection;
                all_answered(next, vec![asked]).await;
            }
            Some(done) = next.join_next() => {
                let failure = done.expect("no panic").expect_err("nobody answered");
                assert_eq!(failure.retry, Retry::AtOnce, "{failure}");
            }
        }
    }
    assert_eq!((connection, server.connections()), (1, 2));
}

/// Connections that are over are found so only when a request comes to them. That costs no call, however many they
/// are.
#[tokio::test]
async fn a_call_goes_through_behind_any_number_of_connections_that_are_over() {
    const CONNECTIONS: usize = 8;
    let mut server = Server::start(2).await;
    let provider = Arc::new(provider(&server.base_url, true));
    let mut calls = begin(&provider, 2 * CONNECTIONS);
    // A running call on each, and room for another.
    let mut running = BTreeMap::new();
    for asked in all_asked(&mut server, 2 * CONNECTIONS).await {
        if let Some(other) = running.insert(asked.connection, asked) {
            other.answer();
            let done = calls.join_next().await.expect("one").expect("no panic");
            done.expect("a reply");
        }
    }
    assert_eq!(running.len(), CONNECTIONS);
    server.go_away();
    server.ending(CONNECTIONS).await;

    let one_more = begin(&provider, 1);
    let asked = server.asked().await;
    assert_eq!(asked.connection, CONNECTIONS);
    all_answered(one_more, vec![asked]).await;
    all_answered(calls, running.into_values().collect()).await;
}

#[tokio::test]
async fn all_who_wait_for_a_connection_that_cannot_be_made_learn_it() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let base_url = format!("http://{}/v1", listener.local_addr().expect("an address"));
    drop(listener);
    let provider = Arc::new(provider(&base_url, true));
    let mut calls = begin(&provider, 150);
    while let Some(done) = calls.join_next().await {
        let failure = done.expect("no panic").expect_err("nobody listens");
        assert_eq!(failure.error.code, "connection_failed");
        assert_eq!(failure.retry, Retry::Backoff);
    }
}
