//! The cause of a failure without a complete answer: an outage of the provider, or a call that may have been paid for.

use std::time::Duration;

use crate::{
    ask,
    peer::{Peer, Port, RefusingPort},
    provider, provider_with,
};
use forebay_worker::provider::{
    Fault,
    http::{HttpLimits, HttpSettings, Proxies},
    openai::OpenAi,
};

/// The cause and the text of the failure of a call.
async fn fault_of(provider: &OpenAi) -> (Fault, String) {
    let failure = ask(provider).await.expect_err("the call fails");
    (failure.fault, failure.to_string())
}

/// The cause and the text of the failure of a call whose connection to `port` is handled by `answer`.
async fn fault_with(
    port: &Port,
    provider: &OpenAi,
    answer: impl AsyncFnOnce(Peer),
) -> (Fault, String) {
    let accept = async { answer(port.accept().await).await };
    tokio::join!(fault_of(provider), accept).0
}

#[tokio::test]
async fn a_port_or_a_proxy_that_refuses_the_connection_is_an_outage() {
    let port = RefusingPort::open();
    let address = port.address().to_string();
    let direct = provider(&format!("http://{address}/v1"));
    let (fault, text) = fault_of(&direct).await;
    assert_eq!(fault, Fault::Unavailable, "{text}");
    for url in ["http://llm.example/v1", "https://llm.example/v1"] {
        let variable = |name: &str| (name == "ALL_PROXY").then(|| address.clone());
        let http = HttpSettings {
            proxies: Proxies::read(&variable),
            ..HttpSettings::default()
        };
        let (fault, text) = fault_of(&provider_with(url, http)).await;
        assert_eq!(fault, Fault::Unavailable, "{url}: {text}");
    }
}

#[tokio::test]
async fn a_connection_that_is_closed_in_the_tls_handshake_is_an_outage() {
    let (port, _) = Port::open_with_provider("127.0.0.1").await;
    let provider = provider(&format!("https://{}/v1", port.address()));
    let close = async |mut peer: Peer| {
        peer.read_byte().await;
    };
    let (fault, text) = fault_with(&port, &provider, close).await;
    assert_eq!(fault, Fault::Unavailable, "{text}");
}

#[tokio::test]
async fn a_server_without_tls_at_an_https_url_is_no_outage() {
    let (port, _) = Port::open_with_provider("127.0.0.1").await;
    let provider = provider(&format!("https://{}/v1", port.address()));
    let answer = async |mut peer: Peer| {
        peer.write("HTTP/1.1 400 Bad Request\r\n\r\n").await;
        peer.wait_until_closed().await;
    };
    let (fault, text) = fault_with(&port, &provider, answer).await;
    assert_eq!(fault, Fault::Call, "{text}");
}

#[tokio::test]
async fn a_proxy_that_refuses_to_connect_is_no_outage() {
    let (port, _) = Port::open_with_provider("127.0.0.1").await;
    let proxy = port.address().to_string();
    let variable = |name: &str| (name == "ALL_PROXY").then(|| proxy.clone());
    let http = HttpSettings {
        proxies: Proxies::read(&variable),
        ..HttpSettings::default()
    };
    let provider = provider_with("https://llm.example/v1", http);
    for status in ["403 Forbidden", "407 Who"] {
        let refuse = async |mut peer: Peer| {
            peer.read_request().await;
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
            peer.write(&answer).await;
        };
        let (fault, text) = fault_with(&port, &provider, refuse).await;
        assert_eq!(fault, Fault::Call, "{status}: {text}");
    }
}

#[tokio::test]
async fn a_request_that_was_sent_without_a_complete_answer_may_have_been_paid_for() {
    for half in [
        "",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{",
    ] {
        let (port, provider) = Port::open_with_provider("127.0.0.1").await;
        let cut_off = async |mut peer: Peer| {
            peer.read_request().await;
            peer.write(half).await;
        };
        let (fault, text) = fault_with(&port, &provider, cut_off).await;
        assert_eq!(fault, Fault::Call, "after {half:?}: {text}");
    }
}

#[tokio::test]
async fn an_answer_that_does_not_begin_in_time_may_have_been_paid_for() {
    let (port, _) = Port::open_with_provider("127.0.0.1").await;
    let http = HttpSettings {
        limits: HttpLimits {
            first_byte_ms: 300,
            ..HttpLimits::default()
        },
        ..HttpSettings::default()
    };
    let provider = provider_with(&format!("http://{}/v1", port.address()), http);
    let stall = async |mut peer: Peer| {
        // On a busy machine the request may not arrive before the timeout. The result is the same.
        let _ = tokio::time::timeout(Duration::from_secs(1), peer.read_request()).await;
        peer.wait_until_closed().await;
    };
    let (fault, text) = fault_with(&port, &provider, stall).await;
    assert_eq!(fault, Fault::Call, "{text}");
}
