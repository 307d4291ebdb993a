//! HTTP/1.1: several calls use one connection after the other.

use scripted_provider::http_server::{HttpServer, Version};

use crate::{ask, provider, server::answer};

#[tokio::test]
async fn no_call_fails_because_an_idle_connection_was_closed() {
    let server = HttpServer::builder().version(Version::HTTP_11);
    let server = server.start(answer).await;
    let provider = provider(&format!("http://{}/v1", server.address()), false);
    for round in 1..=20 {
        ask(&provider).await.expect("a reply");
        // The client may or may not know that the connection is closed when it sends the next request.
        server.shut_down_connections();
        let connections = server.connections();
        connections
            .wait_for("closed connections", |all| {
                all.len() == round && all.iter().all(|connection| connection.is_closed)
            })
            .await;
    }
    ask(&provider).await.expect("a reply");
}
