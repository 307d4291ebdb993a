//! An HTTP/1.1 server that counts its connections and answers each request, at once or when it is told to.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinHandle,
};

use crate::REPLY;

/// A server; gone with the value.
pub(crate) struct Server {
    pub(crate) base_url: String,
    /// One permit for each answer.
    pub(crate) answers: Arc<Semaphore>,
    connections: Arc<AtomicUsize>,
    waiting: watch::Receiver<usize>,
    close: watch::Sender<u64>,
    closed: watch::Receiver<usize>,
    task: JoinHandle<()>,
}

struct Shared {
    answers: Arc<Semaphore>,
    waiting: watch::Sender<usize>,
    close: watch::Receiver<u64>,
    closed: watch::Sender<usize>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let base_url = format!("http://{}/v1", listener.local_addr().expect("an address"));
        let connections = Arc::new(AtomicUsize::new(0));
        let answers = Arc::new(Semaphore::new(0));
        let ((tell, waiting), (close, told)) = (watch::channel(0), watch::channel(0));
        let (tell_closed, closed) = watch::channel(0);
        let shared = Arc::new(Shared {
            answers: Arc::clone(&answers),
            waiting: tell,
            close: told,
            closed: tell_closed,
        });
        let count = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self {
            base_url,
            answers,
            connections,
            waiting,
            close,
            closed,
            task,
        }
    }

    /// Waits until so many requests wait for their answers.
    pub(crate) async fn waiting(&mut self, count: usize) {
        let enough = self.waiting.wait_for(|waiting| *waiting >= count);
        tokio::time::timeout(crate::LIMIT, enough)
            .await
            .expect("they come in time")
            .expect("the server runs");
    }

    /// How many connections were made.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Closes the connections that are idle, and waits until it has closed so many in all.
    pub(crate) async fn close_idle(&mut self, count: usize) {
        self.close.send_modify(|told| *told += 1);
        let closed = self.closed.wait_for(|closed| *closed >= count);
        closed.await.expect("the server runs");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    let mut close = shared.close.clone();
    close.mark_unchanged();
    loop {
        let read = tokio::select! {
            read = read_request(&mut stream) => read,
            _ = close.changed() => None,
        };
        if read.is_none() {
            drop(stream);
            shared.closed.send_modify(|closed| *closed += 1);
            return;
        }
        shared.waiting.send_modify(|waiting| *waiting += 1);
        if let Ok(permit) = shared.answers.acquire().await {
            permit.forget();
        }
        shared.waiting.send_modify(|waiting| *waiting -= 1);
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{REPLY}",
            REPLY.len()
        );
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Reads a request to its end, and answers with its head; `None` when the client has closed.
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
