//! Connections whose first byte arrives alone. The byte `P` may begin a request in HTTP/1.1 or the preface of HTTP/2.

use tokio::{io::AsyncWriteExt as _, task::yield_now};

use super::RawClient;
use crate::ScriptedLlm;

/// Sends the byte, and gives the server the time to read it before more bytes follow.
async fn send_first_byte(client: &mut RawClient) {
    client.write(b"P").await;
    for _ in 0..1_000 {
        yield_now().await;
    }
}

#[tokio::test]
async fn the_rest_of_a_request_may_follow_later() {
    let server = ScriptedLlm::start().await;
    let mut client = RawClient::connect(&server).await;
    send_first_byte(&mut client).await;
    client
        .write(b"OST /unknown HTTP/1.1\r\nconnection: close\r\n\r\n")
        .await;
    let text = client.read_to_end().await.expect("the server replies");
    assert!(text.starts_with("HTTP/1.1 404 Not Found"), "{text}");
    assert_eq!(server.stats().unexpected, ["POST /unknown"]);
}

#[tokio::test]
async fn a_client_that_closes_after_one_byte_did_not_send_http() {
    let server = ScriptedLlm::start().await;
    let mut client = RawClient::connect(&server).await;
    send_first_byte(&mut client).await;
    client.0.shutdown().await.expect("the client closes");
    let text = client.read_to_end().await.expect("the server closes");
    assert_eq!(text, "");
    let unexpected = server.stats().unexpected;
    assert_eq!(unexpected.len(), 1, "{unexpected:?}");
    assert!(unexpected[0].contains("did not send valid HTTP/1.1"));
}
