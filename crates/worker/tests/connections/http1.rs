//! HTTP/1.1: a connection for each call, left for the next.

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::{ask, provider, server1::Server};

#[tokio::test]
async fn calls_at_a_time_have_connections_of_their_own_and_leave_them_for_the_next() {
    let mut server = Server::start().await;
    let provider = Arc::new(provider(&server.base_url, false));
    for _ in 0..3 {
        let mut calls = JoinSet::new();
        for _ in 0..20 {
            let provider = Arc::clone(&provider);
            calls.spawn(async move { ask(&provider).await });
        }
        server.waiting(20).await;
        server.answers.add_permits(20);
        for answer in calls.join_all().await {
            answer.expect("a reply");
        }
    }
    assert_eq!(server.connections(), 20);
}

#[tokio::test]
async fn a_connection_that_was_closed_while_it_was_idle_costs_no_call() {
    let mut server = Server::start().await;
    let provider = provider(&server.base_url, false);
    server.answers.add_permits(100);
    for round in 1..=20 {
        ask(&provider).await.expect("a reply");
        // The client may or may not have seen it yet when it sends the next request.
        server.close_idle(round).await;
    }
    ask(&provider).await.expect("a reply");
    assert_eq!(server.connections(), 21);
}
