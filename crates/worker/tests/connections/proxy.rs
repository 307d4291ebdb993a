//! A proxy between us and the provider.

use forebay_worker::provider::{
    Retry,
    http::{HttpSettings, Proxies},
};

use crate::{ask, peer::Port, provider_with};

/// Whether it passes requests on or makes a tunnel: the provider has nothing to do with it.
#[tokio::test]
async fn a_proxy_that_wants_to_know_who_asks_is_a_failed_connection() {
    for url in ["http://llm.example/v1", "https://llm.example/v1"] {
        let (port, _) = Port::open("127.0.0.1").await;
        let proxy = format!("user:secret@{}", port.address());
        let http = HttpSettings {
            proxies: Proxies::read(&|name| (name == "ALL_PROXY").then(|| proxy.clone())),
            ..HttpSettings::default()
        };
        let provider = provider_with(url, http);
        let call = tokio::spawn(async move { ask(&provider).await });
        let mut peer = port.accept().await;
        let head = peer.asked().await;
        assert!(head.contains("llm.example"), "{head}");
        peer.write("HTTP/1.1 407 Who\r\nproxy-authenticate: Basic\r\ncontent-length: 0\r\n\r\n")
            .await;
        let failure = call.await.expect("no panic").expect_err("nobody answered");
        assert_eq!(failure.error.code, "connection_failed", "{failure}");
        assert_eq!(failure.retry, Retry::Backoff, "{failure}");
        let message = failure.error.message;
        assert!(message.contains("proxy"), "{message}");
        assert!(!message.contains("secret"), "{message}");
        let address = port.address().to_string();
        assert!(!message.contains(&address), "{message}");
    }
}
