//! The other end of one HTTP/1.1 connection, in the test's own hand.

use std::net::SocketAddr;

use forebay_worker::provider::openai::OpenAi;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::{LIMIT, REPLY, provider, server1::read_request};

/// A port, and a provider that asks there.
pub(crate) struct Port {
    listener: TcpListener,
}

/// One connection.
pub(crate) struct Peer(TcpStream);

impl Port {
    /// Opens a port of this address.
    pub(crate) async fn open(host: &str) -> (Self, OpenAi) {
        let listener = TcpListener::bind(format!("{host}:0"))
            .await
            .expect("a port");
        let address = listener.local_addr().expect("an address");
        let provider = provider(&format!("http://{address}/v1"), false);
        (Self { listener }, provider)
    }

    /// Where it is.
    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("an address")
    }

    /// The next connection.
    pub(crate) async fn accept(&self) -> Peer {
        let accepted = tokio::time::timeout(LIMIT, self.listener.accept()).await;
        Peer(accepted.expect("a connection in time").expect("one").0)
    }
}

impl Peer {
    /// Reads a request to its end; its head.
    pub(crate) async fn asked(&mut self) -> String {
        read_request(&mut self.0).await.expect("a request")
    }

    /// Reads the first byte of a request.
    pub(crate) async fn begun(&mut self) {
        self.0.read_u8().await.expect("a request");
    }

    pub(crate) async fn write(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.expect("written");
    }

    /// Answers with a reply of this text, and with these lines in its head.
    pub(crate) async fn answer(&mut self, headers: &str) {
        let length = REPLY.len();
        self.write(&format!(
            "HTTP/1.1 200 OK\r\n{headers}content-length: {length}\r\n\r\n{REPLY}"
        ))
        .await;
    }

    /// Waits until the client has closed.
    pub(crate) async fn closed(mut self) {
        let mut bytes = Vec::new();
        let rest = self.0.read_to_end(&mut bytes);
        let rest = tokio::time::timeout(LIMIT, rest).await;
        // Reset is closed too.
        let _ = rest.expect("it is closed in time");
    }
}
