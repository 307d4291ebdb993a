//! HTTP/1.1: one connection serves several calls, one after the other.

use scripted_provider::http_server::{HttpServer, Version};

use crate::{ask, provider, server::answer};

/// The number of calls of which at least one must reuse a connection. A connection becomes idle only a moment after its
/// answer, so the next call may open another connection.
const CALLS_MAX: usize = 100;

#[tokio::test]
async fn a_call_reuses_the_connection_of_an_earlier_call() {
    let server = HttpServer::builder().version(Version::HTTP_11);
    let server = server.start(answer).await;
    let provider = provider(&format!("http://{}/v1", server.address()));
    for calls in 1..=CALLS_MAX {
        ask(&provider).await.expect("the call succeeds");
        if server.connections().count() < calls {
            return;
        }
    }
    panic!("each of {CALLS_MAX} calls opened a connection");
}

#[tokio::test]
async fn no_call_fails_because_an_idle_connection_was_closed() {
    let server = HttpServer::builder().version(Version::HTTP_11);
    let server = server.start(answer).await;
    let provider = provider(&format!("http://{}/v1", server.address()));
    for round in 1..=20 {
        ask(&provider).await.expect("the call succeeds");
        // The client may or may not know that the connection is closed when it sends the next request.
        server.shut_down_connections();
        let connections = server.connections();
        connections
            .wait_for("closed connections", |all| {
                all.len() == round && all.iter().all(|connection| connection.is_closed)
            })
            .await;
    }
    ask(&provider).await.expect("the call succeeds");
}
