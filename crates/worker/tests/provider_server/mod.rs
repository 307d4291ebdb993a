//! A server in the test that misbehaves on purpose: it reads one request on each connection, writes the
//! bytes it was given, and then does to the connection what it was told.

use std::time::Duration;

use forebay_shared::{
    job::Request,
    turn::{Role, Turn},
};
use forebay_worker::provider::{
    Answer, Call, Failure, Provider, Retry,
    http::{HttpLimits, HttpSettings},
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
};

/// What happens to a connection once the bytes are written.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Then {
    /// It is closed in order.
    Close,
    /// It is reset.
    Reset,
    /// Nothing, until the client closes it.
    Hold,
    /// More and more of a chunked body.
    Endless,
}

/// A request as it came.
#[derive(Debug)]
pub(crate) struct Received {
    /// The request line and the headers, in lower case.
    pub(crate) head: String,
    /// The body.
    pub(crate) body: Value,
}

/// What the server has seen.
#[derive(Debug)]
pub(crate) enum Seen {
    /// A request.
    Request(Received),
    /// A connection that was held is closed by the client.
    Closed,
}

/// A server; gone with the value.
pub(crate) struct Server {
    /// Where it is.
    pub(crate) base_url: String,
    seen: mpsc::UnboundedReceiver<Seen>,
    task: JoinHandle<()>,
}

impl Server {
    /// Starts a server on a free port.
    pub(crate) async fn start(bytes: impl Into<Vec<u8>>, then: Then) -> Self {
        let bytes = bytes.into();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base_url = format!("http://{}/v1", listener.local_addr().expect("an address"));
        let (tell, seen) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, bytes.clone(), then, tell.clone()));
            }
        });
        Self {
            base_url,
            seen,
            task,
        }
    }

    /// The next thing that it sees.
    pub(crate) async fn seen(&mut self) -> Seen {
        tokio::time::timeout(Duration::from_secs(10), self.seen.recv())
            .await
            .expect("something is seen within 10 s")
            .expect("the server runs")
    }

    /// The next request.
    pub(crate) async fn request(&mut self) -> Received {
        match self.seen().await {
            Seen::Request(request) => request,
            Seen::Closed => panic!("closed, where a request was expected"),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    mut stream: TcpStream,
    bytes: Vec<u8>,
    then: Then,
    tell: mpsc::UnboundedSender<Seen>,
) {
    let Some(request) = read_request(&mut stream).await else {
        return;
    };
    // Nobody may be listening any more: the test has what it wanted.
    let _ = tell.send(Seen::Request(request));
    if stream.write_all(&bytes).await.is_err() {
        return;
    }
    match then {
        Then::Close => {
            let _ = stream.shutdown().await;
        }
        Then::Reset => stream.set_zero_linger().expect("linger can be set"),
        Then::Hold => {
            let mut rest = [0; 1];
            while matches!(stream.read(&mut rest).await, Ok(1)) {}
            let _ = tell.send(Seen::Closed);
        }
        Then::Endless => {
            let chunk = format!("400\r\n{}\r\n", " ".repeat(0x400));
            while stream.write_all(chunk.as_bytes()).await.is_ok() {}
            let _ = tell.send(Seen::Closed);
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<Received> {
    let mut bytes = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).await.ok()?;
        if count == 0 {
            return None;
        }
        bytes.extend_from_slice(&buffer[..count]);
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let length: usize = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "))
            .and_then(|length| length.parse().ok())
            .unwrap_or(0);
        if bytes.len() >= end + 4 + length {
            let body = serde_json::from_slice(&bytes[end + 4..]).unwrap_or_default();
            return Some(Received { head, body });
        }
    }
}

/// A whole answer. `headers` end with `\r\n` each.
pub(crate) fn answer(status: u16, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{headers}\r\n{body}",
        body.len()
    )
}

/// The beginning of an answer whose body announces more bytes than there are here.
pub(crate) fn beginning(body: &str) -> String {
    format!(
        "HTTP/1.1 200 x\r\ncontent-length: {}\r\n\r\n{body}",
        body.len() + 10
    )
}

/// Short bounds, so that the tests are quick.
pub(crate) fn short() -> HttpSettings {
    HttpSettings {
        limits: HttpLimits {
            connect_ms: 200,
            first_byte_ms: 200,
            response_bytes_max: 64 * 1024,
        },
        ..HttpSettings::default()
    }
}

/// Calls with one turn of the user.
pub(crate) async fn ask(provider: &dyn Provider, timeout_ms: u64) -> Result<Answer, Failure> {
    let turns = [Turn::text(Role::User, "hello")];
    ask_with(provider, &Request::default(), &turns, timeout_ms).await
}

/// Calls with a request and turns.
pub(crate) async fn ask_with(
    provider: &dyn Provider,
    request: &Request,
    turns: &[Turn],
    timeout_ms: u64,
) -> Result<Answer, Failure> {
    let call = Call {
        model: "gemini-2.5-flash",
        request,
        turns,
        timeout: Duration::from_millis(timeout_ms),
    };
    provider.call(&call).await
}

/// A fault and what must follow from it.
pub(crate) struct Row {
    /// What the fault is.
    pub(crate) name: &'static str,
    /// What the server writes.
    pub(crate) bytes: String,
    /// What it does then.
    pub(crate) then: Then,
    /// The failure's code.
    pub(crate) code: &'static str,
    /// Whether another try can help.
    pub(crate) retry: Retry,
}

/// The faults below HTTP, which are the same for every provider.
pub(crate) fn transport_faults() -> Vec<Row> {
    let row = |name, bytes: &str, then, code, retry| Row {
        name,
        bytes: bytes.to_owned(),
        then,
        code,
        retry,
    };
    let chunked = "HTTP/1.1 200 x\r\ntransfer-encoding: chunked\r\n\r\n";
    let huge = "HTTP/1.1 200 x\r\ncontent-length: 99999999999\r\n\r\n{";
    vec![
        row(
            "reset",
            "",
            Then::Reset,
            "connection_failed",
            Retry::Backoff,
        ),
        row(
            "closed",
            "",
            Then::Close,
            "connection_failed",
            Retry::Backoff,
        ),
        row(
            "no http",
            "SSH-2.0-x\r\n\r\n",
            Then::Close,
            "connection_failed",
            Retry::Backoff,
        ),
        row("stall", "", Then::Hold, "provider_timeout", Retry::Backoff),
        row(
            "stall in the head",
            "HTTP/1.1 200",
            Then::Hold,
            "provider_timeout",
            Retry::Backoff,
        ),
        row(
            "stall in the body",
            &beginning("{"),
            Then::Hold,
            "provider_timeout",
            Retry::Backoff,
        ),
        row(
            "cut off",
            &beginning("{\"choices\""),
            Then::Close,
            "connection_failed",
            Retry::Backoff,
        ),
        row(
            "reset in the body",
            &beginning("{"),
            Then::Reset,
            "connection_failed",
            Retry::Backoff,
        ),
        row(
            "endless body",
            chunked,
            Then::Endless,
            "response_too_large",
            Retry::Never,
        ),
        row(
            "announced too large",
            huge,
            Then::Hold,
            "response_too_large",
            Retry::Never,
        ),
        row(
            "invalid JSON",
            &answer(200, "", "<html>"),
            Then::Close,
            "invalid_response",
            Retry::Backoff,
        ),
        row(
            "half a JSON",
            &answer(200, "", "{\"a\": ["),
            Then::Close,
            "invalid_response",
            Retry::Backoff,
        ),
        row(
            "empty body",
            &answer(200, "", ""),
            Then::Close,
            "invalid_response",
            Retry::Backoff,
        ),
        row(
            "redirect",
            &answer(307, "location: http://127.0.0.1:1/\r\n", ""),
            Then::Close,
            "provider_error",
            Retry::Never,
        ),
        row(
            "stall in an error",
            &answer(500, "", "").replace("length: 0", "length: 9"),
            Then::Close,
            "provider_error",
            Retry::Backoff,
        ),
        row(
            "no body of an error",
            &answer(502, "", "<html>"),
            Then::Close,
            "provider_error",
            Retry::Backoff,
        ),
    ]
}
