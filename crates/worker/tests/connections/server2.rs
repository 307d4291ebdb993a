//! An HTTP/2 server without TLS that hands each request to the test, which answers or refuses it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use h2::{Reason, server::SendResponse};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinHandle,
};

use crate::{LIMIT, REPLY};

/// A request that the test answers or refuses.
pub(crate) struct Asked {
    /// The number of its connection, from 0.
    pub(crate) connection: usize,
    pub(crate) path: String,
    respond: SendResponse<Bytes>,
}

/// A server, which ends with this value.
pub(crate) struct Server {
    pub(crate) base_url: String,
    asked: mpsc::UnboundedReceiver<Asked>,
    connections: Arc<AtomicUsize>,
    go_away: watch::Sender<()>,
    task: JoinHandle<()>,
}

impl Server {
    /// Starts a server that permits `streams_max` concurrent streams on a connection.
    pub(crate) async fn start(streams_max: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address: SocketAddr = listener.local_addr().expect("an address");
        let (tell, asked) = mpsc::unbounded_channel();
        let connections = Arc::new(AtomicUsize::new(0));
        let (go_away, leave) = watch::channel(());
        let count = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(
                    stream,
                    streams_max,
                    number,
                    tell.clone(),
                    leave.clone(),
                ));
            }
        });
        Self {
            base_url: format!("http://{address}/v1"),
            asked,
            connections,
            go_away,
            task,
        }
    }

    /// The next request.
    pub(crate) async fn asked(&mut self) -> Asked {
        tokio::time::timeout(LIMIT, self.asked.recv())
            .await
            .expect("a request in time")
            .expect("the server runs")
    }

    /// How many connections clients have opened.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Closes the open connections in good order (GOAWAY), as a server does before it restarts.
    pub(crate) fn go_away(&self) {
        self.go_away.send_replace(());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    stream: tokio::net::TcpStream,
    streams_max: u32,
    connection: usize,
    tell: mpsc::UnboundedSender<Asked>,
    mut leave: watch::Receiver<()>,
) {
    leave.mark_unchanged();
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(streams_max);
    let Ok(mut served) = builder.handshake::<_, Bytes>(stream).await else {
        return;
    };
    loop {
        let accepted = tokio::select! {
            accepted = served.accept() => accepted,
            Ok(()) = leave.changed() => {
                served.graceful_shutdown();
                continue;
            }
        };
        // An error means that the client has closed the connection.
        let Some(Ok((request, respond))) = accepted else {
            return;
        };
        let path = request.uri().path().to_owned();
        let _ = tell.send(Asked {
            connection,
            path,
            respond,
        });
    }
}

impl Asked {
    /// Answers with a reply.
    pub(crate) fn answer(self) {
        self.answer_with(&[]);
    }

    /// Answers with a reply and these headers.
    pub(crate) fn answer_with(mut self, headers: &[(&str, &str)]) {
        let mut response = http::Response::builder().header("content-type", "application/json");
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        let response = response.body(()).expect("a response");
        let mut body = self.respond.send_response(response, false).expect("sent");
        body.send_data(Bytes::from_static(REPLY.as_bytes()), true)
            .expect("sent");
    }

    /// Sends an interim answer: a status of 1xx.
    pub(crate) fn interim(&mut self, status: u16) {
        let response = http::Response::builder().status(status).body(());
        let response = response.expect("a response");
        self.respond.send_informational(response).expect("sent");
    }

    /// Sends half an answer and resets the stream.
    pub(crate) fn cut_off(mut self) {
        let response = http::Response::new(());
        let mut body = self.respond.send_response(response, false).expect("sent");
        let half = &REPLY.as_bytes()[..REPLY.len() / 2];
        body.send_data(Bytes::from_static(half), false)
            .expect("sent");
        body.send_reset(Reason::INTERNAL_ERROR);
    }

    /// Resets the stream without an answer.
    pub(crate) fn reset(mut self, reason: Reason) {
        self.respond.send_reset(reason);
    }

    /// Waits until the client resets the stream, and returns its reason.
    pub(crate) async fn cancelled(mut self) -> Reason {
        let reset = std::future::poll_fn(|cx| self.respond.poll_reset(cx));
        tokio::time::timeout(LIMIT, reset)
            .await
            .expect("cancelled in time")
            .expect("a reset")
    }
}
