//! The server's end of an HTTP/1.1 connection, written byte by byte by the test.

use std::net::SocketAddr;

use forebay_worker::provider::openai::OpenAi;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::{LIMIT, REPLY, provider};

/// A listening port.
pub(crate) struct Port {
    listener: TcpListener,
}

/// One connection.
pub(crate) struct Peer(TcpStream);

impl Port {
    /// Opens a port of this address, and returns a provider that calls it.
    pub(crate) async fn open(host: &str) -> (Self, OpenAi) {
        let listener = TcpListener::bind(format!("{host}:0"))
            .await
            .expect("a port");
        let address = listener.local_addr().expect("an address");
        let provider = provider(&format!("http://{address}/v1"), false);
        (Self { listener }, provider)
    }

    /// The address of the port.
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
    /// Reads a request to its end and returns its head.
    pub(crate) async fn asked(&mut self) -> String {
        read_request(&mut self.0).await.expect("a request")
    }

    /// Reads the next byte.
    pub(crate) async fn byte(&mut self) -> u8 {
        self.0.read_u8().await.expect("a byte")
    }

    pub(crate) async fn write(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.expect("written");
    }

    /// Answers with a reply, and with these further lines in the head.
    pub(crate) async fn answer(&mut self, headers: &str) {
        let length = REPLY.len();
        self.write(&format!(
            "HTTP/1.1 200 OK\r\n{headers}content-length: {length}\r\n\r\n{REPLY}"
        ))
        .await;
    }

    /// Waits until the client has closed the connection.
    pub(crate) async fn closed(mut self) {
        let mut bytes = Vec::new();
        let rest = self.0.read_to_end(&mut bytes);
        let rest = tokio::time::timeout(LIMIT, rest).await;
        // A reset counts as closed.
        let _ = rest.expect("closed in time");
    }
}

/// Reads a request to its end and returns its head. `None`: the client has closed the connection.
async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let count = stream.read_buf(&mut bytes).await.ok()?;
        if count == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.parse::<usize>().ok())?
        });
        if body.len() >= length.unwrap_or(0) {
            return Some(head.to_owned());
        }
    }
}
