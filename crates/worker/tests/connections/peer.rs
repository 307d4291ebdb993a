//! The server's end of an HTTP/1.1 connection. The test itself writes the bytes of the answers.

use std::net::{Ipv4Addr, SocketAddr};

use forebay_worker::provider::openai::OpenAi;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpSocket, TcpStream},
};

use crate::{REPLY, TIMEOUT, provider};

/// A port that waits for the connections of a client.
pub(crate) struct Port {
    listener: TcpListener,
}

/// A port that refuses connections. No other test can open it.
pub(crate) struct RefusingPort(TcpSocket);

impl RefusingPort {
    pub(crate) fn open() -> Self {
        let socket = TcpSocket::new_v4().expect("the socket is created");
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        socket.bind(any).expect("the port opens");
        Self(socket)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("the address is valid")
    }
}

/// The server's end of one connection.
pub(crate) struct Peer(TcpStream);

impl Port {
    /// Opens a free port at the address `host`, and returns a provider that calls this port.
    pub(crate) async fn open_with_provider(host: &str) -> (Self, OpenAi) {
        let listener = TcpListener::bind(format!("{host}:0"))
            .await
            .expect("the port opens");
        let address = listener.local_addr().expect("the address is valid");
        let provider = provider(&format!("http://{address}/v1"));
        (Self { listener }, provider)
    }

    /// The address of the port.
    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("the address is valid")
    }

    /// Waits for the next connection.
    pub(crate) async fn accept(&self) -> Peer {
        let accepted = tokio::time::timeout(TIMEOUT, self.listener.accept()).await;
        let (stream, _) = accepted
            .expect("a client connects in time")
            .expect("the connection is accepted");
        Peer(stream)
    }
}

impl Peer {
    /// Reads a request to its end and returns its request line and headers.
    pub(crate) async fn read_request(&mut self) -> String {
        read_header_text(&mut self.0)
            .await
            .expect("a request arrives")
    }

    /// Reads the next byte.
    pub(crate) async fn read_byte(&mut self) -> u8 {
        self.0.read_u8().await.expect("a byte arrives")
    }

    pub(crate) async fn write(&mut self, text: &str) {
        self.0
            .write_all(text.as_bytes())
            .await
            .expect("the bytes are sent");
    }

    /// Answers with [`REPLY`]. `headers` are further header lines, each with `\r\n` at its end.
    pub(crate) async fn answer(&mut self, headers: &str) {
        let length = REPLY.len();
        self.write(&format!(
            "HTTP/1.1 200 OK\r\n{headers}content-length: {length}\r\n\r\n{REPLY}"
        ))
        .await;
    }

    /// Waits until the client has closed the connection.
    pub(crate) async fn wait_until_closed(mut self) {
        let mut bytes = Vec::new();
        let read_to_end = self.0.read_to_end(&mut bytes);
        let result = tokio::time::timeout(TIMEOUT, read_to_end).await;
        // A reset counts as closed.
        let _ = result.expect("the connection closes in time");
    }
}

/// Reads a request to its end and returns its request line and headers. `None` if the client has closed the connection.
async fn read_header_text(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let count = stream.read_buf(&mut bytes).await.ok()?;
        if count == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&bytes);
        let Some((header_text, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = header_text.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.parse::<usize>().ok())?
        });
        if body.len() >= length.unwrap_or(0) {
            return Some(header_text.to_owned());
        }
    }
}
