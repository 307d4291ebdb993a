//! HTTP/2: calls that share connections.

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
async fn calls_are_spread_over_as_few_connections_as_they_need() {
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

#[tokio::test]
async fn a_cancelled_call_resets_its_stream_and_leaves_the_connection_open() {
    let mut server = Server::start(100).await;
    let provider = Arc::new(provider(&server.base_url, true));
    let mut calls = begin(&provider, 1);
    let cancelled = server.asked().await;
    let others = begin(&provider, 1);
    let other = server.asked().await;
    calls.abort_all();
    assert_eq!(cancelled.cancelled().await, Reason::CANCEL);
    all_answered(others, vec![other]).await;
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_request_that_the_server_refused_before_it_began_is_sent_again() {
    let mut server = Server::start(100).await;
    let provider = Arc::new(provider(&server.base_url, true));
    let calls = begin(&provider, 1);
    server.asked().await.reset(Reason::REFUSED_STREAM);
    let asked = server.asked().await;
    all_answered(calls, vec![asked]).await;
}

#[tokio::test]
async fn a_request_that_fails_within_the_server_is_not_sent_again() {
    let mut server = Server::start(100).await;
    let provider = Arc::new(provider(&server.base_url, true));
    let mut calls = begin(&provider, 1);
    server.asked().await.reset(Reason::INTERNAL_ERROR);
    let failure = calls.join_next().await.expect("one").expect("no panic");
    let failure = failure.expect_err("a reset");
    assert_eq!(failure.error.code, "connection_failed", "{failure}");
    assert_eq!(failure.retry, Retry::Backoff, "{failure}");
}

/// A server may take calls until it has announced the last stream that it serves (RFC 9113, section 6.8). It refuses
/// later ones, which go to another connection.
#[tokio::test]
async fn a_server_that_closes_a_connection_in_good_order_fails_no_call() {
    let mut server = Server::start(100).await;
    let provider = Arc::new(provider(&server.base_url, true));
    let first = begin(&provider, 1);
    let asked = server.asked().await;
    server.go_away();
    let next = begin(&provider, 5);
    let next_asked = all_asked(&mut server, 5).await;
    all_answered(first, vec![asked]).await;
    all_answered(next, next_asked).await;
}

#[tokio::test]
async fn calls_that_share_a_connection_fail_when_it_cannot_be_made() {
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
