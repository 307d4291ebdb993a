//! An HTTP/1.1 server that answers each request at once and closes idle connections when it is told to.

use std::sync::Arc;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

use crate::REPLY;

/// A server, which ends with this value.
pub(crate) struct Server {
    pub(crate) base_url: String,
    close: watch::Sender<()>,
    closed_count: watch::Receiver<usize>,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base_url = format!("http://{}/v1", listener.local_addr().expect("an address"));
        let (close, close_receiver) = watch::channel(());
        let (closed_sender, closed_count) = watch::channel(0);
        let closed_sender = Arc::new(closed_sender);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (close, closed) = (close_receiver.clone(), Arc::clone(&closed_sender));
                tokio::spawn(async move {
                    serve(stream, close).await;
                    closed.send_modify(|count| *count += 1);
                });
            }
        });
        Self {
            base_url,
            close,
            closed_count,
            task,
        }
    }

    /// Closes the connections that are idle, and waits until the server has closed `count` connections since its start.
    pub(crate) async fn close_idle(&mut self, count: usize) {
        self.close.send_replace(());
        let closed = self.closed_count.wait_for(|closed| *closed >= count);
        closed.await.expect("the server runs");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, mut close: watch::Receiver<()>) {
    close.mark_unchanged();
    loop {
        let request = tokio::select! {
            request = read_request(&mut stream) => request,
            _ = close.changed() => None,
        };
        if request.is_none() {
            return;
        }
        let length = REPLY.len();
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{REPLY}");
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Reads a request to its end and returns its head. `None`: the client has closed the connection.
pub(crate) async fn read_request(stream: &mut TcpStream) -> Option<String> {
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
