//! HTTP/1.1: connections that are used again.

use scripted_provider::http_server::{HttpServer, Version};

use crate::{ask, provider, server::answer};

#[tokio::test]
async fn a_connection_that_was_closed_while_it_was_idle_costs_no_call() {
    let server = HttpServer::builder().version(Version::HTTP_11);
    let server = server.start(answer).await;
    let provider = provider(&format!("http://{}/v1", server.address()), false);
    for round in 1..=20 {
        ask(&provider).await.expect("a reply");
        // The client may or may not have seen the close when it sends the next request.
        server.shut_down_connections();
        let connections = server.connections();
        connections
            .wait_for("closed connections", |all| {
                all.len() == round && all.iter().all(|one| one.is_closed)
            })
            .await;
    }
    ask(&provider).await.expect("a reply");
}
