//! A proxy between the worker and the provider.

use forebay_worker::provider::{
    Retry,
    http::{HttpSettings, Proxies},
    openai::OpenAi,
};

use crate::{ask, peer::Port, provider_with};

/// The header that carries `user:secret` (RFC 7617).
const AUTHORIZATION: &str = "proxy-authorization: Basic dXNlcjpzZWNyZXQ=";

/// A provider at `url` that is reached through the proxy at `port`, unless `exempt` lists it.
fn provider_through(port: &Port, url: &str, exempt: &str) -> OpenAi {
    let proxy = format!("user:secret@{}", port.address());
    let variable = |name: &str| match name {
        "ALL_PROXY" => Some(proxy.clone()),
        "NO_PROXY" => Some(exempt.to_owned()),
        _ => None,
    };
    let http = HttpSettings {
        proxies: Proxies::read(&variable),
        ..HttpSettings::default()
    };
    provider_with(url, http)
}

#[tokio::test]
async fn a_forwarding_proxy_gets_the_full_url_and_the_credentials() {
    let (port, _) = Port::open_with_provider("127.0.0.1").await;
    let provider = provider_through(&port, "http://llm.example/v1", "");
    let call = tokio::spawn(async move { ask(&provider).await });
    let mut peer = port.accept().await;
    let header_text = peer.read_request().await;
    let first = "POST http://llm.example/v1/chat/completions HTTP/1.1\r\n";
    assert!(header_text.starts_with(first), "request: {header_text}");
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
async fn calls_over_tls_go_through_a_tunnel_of_the_proxy() {
    let (port, _) = Port::open_with_provider("127.0.0.1").await;
    let provider = provider_through(&port, "https://llm.example/v1", "");
    let call = tokio::spawn(async move { ask(&provider).await });
    let mut peer = port.accept().await;
    let header_text = peer.read_request().await;
    let first = "CONNECT llm.example:443 HTTP/1.1\r\n";
    assert!(header_text.starts_with(first), "request: {header_text}");
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
async fn a_provider_that_needs_no_proxy_is_reached_directly() {
    let (proxy, _) = Port::open_with_provider("127.0.0.1").await;
    let (port, _) = Port::open_with_provider("127.0.0.1").await;
    let provider = provider_through(&proxy, &format!("http://{}/v1", port.address()), "");
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

/// The proxy forwards requests to the first URL and opens a tunnel to the second.
#[tokio::test]
async fn a_call_fails_to_connect_if_the_proxy_refuses_the_credentials() {
    for url in ["http://llm.example/v1", "https://llm.example/v1"] {
        let (port, _) = Port::open_with_provider("127.0.0.1").await;
        let provider = provider_through(&port, url, "");
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
