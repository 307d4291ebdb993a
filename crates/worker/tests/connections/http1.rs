//! HTTP/1.1: connections that are used again.

use crate::{ask, provider, server1::Server};

#[tokio::test]
async fn a_connection_that_was_closed_while_it_was_idle_costs_no_call() {
    let mut server = Server::start().await;
    let provider = provider(&server.base_url, false);
    for round in 1..=20 {
        ask(&provider).await.expect("a reply");
        // The client may or may not have seen it yet when it sends the next request.
        server.close_idle(round).await;
    }
    ask(&provider).await.expect("a reply");
}
