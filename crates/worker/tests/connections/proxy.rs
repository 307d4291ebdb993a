//! Calls through a proxy between the worker and the provider.

use forebay_worker::provider::{
    Retry,
    http::{HttpSettings, Proxies},
    openai::OpenAi,
};

use crate::{ask, peer::Port, provider_with};

/// The header with the user name `user` and the password `secret` (RFC 7617).
const AUTHORIZATION: &str = "proxy-authorization: Basic dXNlcjpzZWNyZXQ=";

/// A provider at `url`. The settings name the proxy at `port`.
fn provider_with_proxy(port: &Port, url: &str) -> OpenAi {
    let proxy = format!("user:secret@{}", port.address());
    let variable = |name: &str| (name == "ALL_PROXY").then(|| proxy.clone());
    let http = HttpSettings {
        proxies: Proxies::read(&variable),
        ..HttpSettings::default()
    };
    provider_with(url, http)
}

#[tokio::test]
async fn a_forwarding_proxy_gets_the_full_url_and_the_credentials() {
    let (port, _) = Port::open_with_provider("127.0.0.1").await;
    let provider = provider_with_proxy(&port, "http://llm.example/v1");
    let call = tokio::spawn(async move { ask(&provider).await });
    let mut peer = port.accept().await;
    let header_text = peer.read_request().await;
    let request_line = "POST http://llm.example/v1/chat/completions HTTP/1.1\r\n";
    assert!(
        header_text.starts_with(request_line),
        "request: {header_text}"
    );
    assert!(
        header_text.contains("\r\nhost: llm.example"),
        "request: {header_text}"
    );
    assert!(
        header_text.contains(AUTHORIZATION),
        "request: {header_text}"
    );
    peer.answer("").await;
    call.await
        .expect("the task does not panic")
        .expect("the call succeeds");
}

#[tokio::test]
async fn calls_over_tls_use_a_tunnel_through_the_proxy() {
    let (port, _) = Port::open_with_provider("127.0.0.1").await;
    let provider = provider_with_proxy(&port, "https://llm.example/v1");
    let call = tokio::spawn(async move { ask(&provider).await });
    let mut peer = port.accept().await;
    let header_text = peer.read_request().await;
    let request_line = "CONNECT llm.example:443 HTTP/1.1\r\n";
    assert!(
        header_text.starts_with(request_line),
        "request: {header_text}"
    );
    assert!(
        header_text
            .to_lowercase()
            .contains(&AUTHORIZATION.to_lowercase()),
        "request: {header_text}"
    );
    peer.write("HTTP/1.1 200 OK\r\n\r\n").await;
    // The first byte of a TLS handshake (RFC 8446, section 5.1).
    assert_eq!(peer.read_byte().await, 22);
    call.abort();
}

#[tokio::test]
async fn a_provider_on_this_machine_is_reached_without_the_proxy() {
    let (proxy, _) = Port::open_with_provider("127.0.0.1").await;
    let (port, _) = Port::open_with_provider("127.0.0.1").await;
    let provider = provider_with_proxy(&proxy, &format!("http://{}/v1", port.address()));
    let call = tokio::spawn(async move { ask(&provider).await });
    let mut peer = port.accept().await;
    let header_text = peer.read_request().await;
    assert!(
        header_text.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"),
        "request: {header_text}"
    );
    assert!(
        !header_text.contains("proxy-authorization"),
        "request: {header_text}"
    );
    peer.answer("").await;
    call.await
        .expect("the task does not panic")
        .expect("the call succeeds");
}

/// Requests to the first URL would be forwarded by the proxy, and those to the second would go through a tunnel.
#[tokio::test]
async fn a_call_fails_to_connect_if_the_proxy_refuses_the_credentials() {
    for url in ["http://llm.example/v1", "https://llm.example/v1"] {
        let (port, _) = Port::open_with_provider("127.0.0.1").await;
        let provider = provider_with_proxy(&port, url);
        let call = tokio::spawn(async move { ask(&provider).await });
        let mut peer = port.accept().await;
        let header_text = peer.read_request().await;
        assert!(
            header_text.contains("llm.example"),
            "request: {header_text}"
        );
        peer.write("HTTP/1.1 407 Who\r\nproxy-authenticate: Basic\r\ncontent-length: 0\r\n\r\n")
            .await;
        let failure = call
            .await
            .expect("the task does not panic")
            .expect_err("the call fails");
        assert_eq!(
            failure.error.code, "connection_failed",
            "failure: {failure}"
        );
        assert_eq!(failure.retry, Retry::Backoff, "failure: {failure}");
        let message = failure.error.message;
        assert!(message.contains("proxy"), "message: {message}");
        assert!(!message.contains("secret"), "message: {message}");
        let address = port.address().to_string();
        assert!(!message.contains(&address), "message: {message}");
    }
}
