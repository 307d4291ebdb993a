//! HTTP/2: calls that share connections.

use std::{collections::BTreeMap, sync::Arc};

use forebay_worker::provider::{Failure, Retry, openai::OpenAi};
use scripted_provider::http_server::{Exchange, Reason};
use tokio::task::JoinSet;

use crate::{
    ask, http2_provider,
    peer::RefusingPort,
    server::{Server, answer, reset_by_client},
};

/// The most repeats of a request that the server has not begun to process.
const REPEATS_MAX: usize = 2;

type Calls = JoinSet<Result<(), Failure>>;

fn start_calls(provider: &Arc<OpenAi>, count: usize) -> Calls {
    let mut calls = JoinSet::new();
    for _ in 0..count {
        let provider = Arc::clone(provider);
        calls.spawn(async move { ask(&provider).await.map(drop) });
    }
    calls
}

async fn next_requests(server: &mut Server, count: usize) -> Vec<Exchange> {
    let mut requests = Vec::new();
    for _ in 0..count {
        requests.push(server.request().await);
    }
    requests
}

fn count_by_connection(requests: &[Exchange]) -> BTreeMap<usize, usize> {
    let mut counts = BTreeMap::new();
    for request in requests {
        *counts.entry(request.connection_number).or_default() += 1;
    }
    counts
}

/// Answers the requests and waits until all calls have a reply.
async fn answer_all(mut calls: Calls, requests: Vec<Exchange>) {
    for request in requests {
        answer(request).await;
    }
    while let Some(result) = calls.join_next().await {
        result
            .expect("the task does not panic")
            .expect("the call succeeds");
    }
}

#[tokio::test]
async fn calls_are_spread_over_as_few_connections_as_they_need() {
    let mut server = Server::start(1_000).await;
    let provider = Arc::new(http2_provider(&server.base_url));
    let calls = start_calls(&provider, 250);
    let requests = next_requests(&mut server, 250).await;
    // The server may accept the connections in any order.
    let mut counts: Vec<_> = count_by_connection(&requests).into_values().collect();
    counts.sort_unstable();
    assert_eq!(counts, [50, 100, 100]);
    assert!(
        requests
            .iter()
            .all(|exchange| exchange.request.target == "/v1/chat/completions")
    );
    answer_all(calls, requests).await;

    // The same connections serve the next burst.
    let calls = start_calls(&provider, 250);
    let requests = next_requests(&mut server, 250).await;
    answer_all(calls, requests).await;
    assert_eq!(server.connections().count(), 3);
}

#[tokio::test]
async fn a_cancelled_call_resets_its_stream_and_leaves_the_connection_open() {
    let mut server = Server::start(100).await;
    let provider = Arc::new(http2_provider(&server.base_url));
    let mut calls = start_calls(&provider, 1);
    let cancelled = server.request().await;
    let others = start_calls(&provider, 1);
    let other = server.request().await;
    calls.abort_all();
    assert_eq!(reset_by_client(cancelled).await, Reason::CANCEL);
    answer_all(others, vec![other]).await;
    assert_eq!(server.connections().count(), 1);
}

#[tokio::test]
async fn a_request_that_the_server_refused_before_processing_it_is_sent_again() {
    let mut server = Server::start(100).await;
    let provider = Arc::new(http2_provider(&server.base_url));
    let calls = start_calls(&provider, 1);
    for _ in 0..REPEATS_MAX {
        server.request().await.reset(Reason::REFUSED_STREAM);
    }
    let request = server.request().await;
    answer_all(calls, vec![request]).await;
}

#[tokio::test]
async fn a_request_is_repeated_twice_at_most() {
    let mut server = Server::start(100).await;
    let provider = Arc::new(http2_provider(&server.base_url));
    let mut calls = start_calls(&provider, 1);
    for _ in 0..=REPEATS_MAX {
        server.request().await.reset(Reason::REFUSED_STREAM);
    }
    let failure = calls
        .join_next()
        .await
        .expect("a call ends")
        .expect("the task does not panic");
    let failure = failure.expect_err("every request was refused");
    assert_eq!(failure.error.code, "connection_failed", "{failure}");
    assert_eq!(failure.retry, Retry::Backoff, "{failure}");
}

#[tokio::test]
async fn a_request_that_fails_within_the_server_is_not_sent_again() {
    let mut server = Server::start(100).await;
    let provider = Arc::new(http2_provider(&server.base_url));
    let mut calls = start_calls(&provider, 1);
    server.request().await.reset(Reason::INTERNAL_ERROR);
    let failure = calls
        .join_next()
        .await
        .expect("a call ends")
        .expect("the task does not panic");
    let failure = failure.expect_err("the call fails");
    assert_eq!(
        failure.error.code, "connection_failed",
        "failure: {failure}"
    );
    assert_eq!(failure.retry, Retry::Backoff, "failure: {failure}");
}

/// A server may accept calls until it has announced the last stream that it serves (RFC 9113, section 6.8). It refuses
/// later calls, which are then sent on another connection.
#[tokio::test]
async fn no_call_fails_when_the_server_closes_its_connection_with_a_goaway() {
    let mut server = Server::start(100).await;
    let provider = Arc::new(http2_provider(&server.base_url));
    let first = start_calls(&provider, 1);
    let request = server.request().await;
    server.go_away();
    let next = start_calls(&provider, 5);
    let later = next_requests(&mut server, 5).await;
    answer_all(first, vec![request]).await;
    answer_all(next, later).await;
}

#[tokio::test]
async fn calls_that_share_a_connection_fail_when_the_connection_cannot_be_made() {
    let port = RefusingPort::open();
    let provider = Arc::new(http2_provider(&format!("http://{}/v1", port.address())));
    let mut calls = start_calls(&provider, 150);
    while let Some(result) = calls.join_next().await {
        let failure = result
            .expect("the task does not panic")
            .expect_err("nothing listens");
        assert_eq!(failure.error.code, "connection_failed");
        assert_eq!(failure.retry, Retry::Backoff);
    }
}
