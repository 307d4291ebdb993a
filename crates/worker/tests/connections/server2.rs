//! An HTTP/2 server without TLS that hands each request to the test, which answers or refuses it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use h2::{Ping, PingPong, Reason, server::SendResponse};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinHandle,
};

use crate::{LIMIT, REPLY};

/// A request that waits for what the test does with it.
pub(crate) struct Asked {
    /// The number of its connection, from 0.
    pub(crate) connection: usize,
    pub(crate) path: String,
    respond: SendResponse<Bytes>,
}

/// A server; gone with the value.
pub(crate) struct Server {
    pub(crate) base_url: String,
    asked: mpsc::UnboundedReceiver<Asked>,
    connections: Arc<AtomicUsize>,
    go_away: watch::Sender<()>,
    ending: watch::Receiver<usize>,
    task: JoinHandle<()>,
}

impl Server {
    /// Starts a server that takes so many requests at a time on a connection.
    pub(crate) async fn start(streams_max: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address: SocketAddr = listener.local_addr().expect("an address");
        let (tell, asked) = mpsc::unbounded_channel();
        let connections = Arc::new(AtomicUsize::new(0));
        let (go_away, leave) = watch::channel(());
        let (tell_ending, ending) = watch::channel(0);
        let count = Arc::clone(&connections);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = count.fetch_add(1, Ordering::SeqCst);
                let end = End {
                    leave: leave.clone(),
                    ending: tell_ending.clone(),
                };
                tokio::spawn(serve(stream, streams_max, number, tell.clone(), end));
            }
        });
        Self {
            base_url: format!("http://{address}/v1"),
            asked,
            connections,
            go_away,
            ending,
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

    /// How many connections were made.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Ends the connections that there are in an orderly way, as a server does that restarts.
    pub(crate) fn go_away(&self) {
        self.go_away.send_replace(());
    }

    /// Waits until the client has heard so on this many connections.
    pub(crate) async fn ending(&mut self, count: usize) {
        let enough = self.ending.wait_for(|ending| *ending >= count);
        tokio::time::timeout(LIMIT, enough)
            .await
            .expect("it hears in time")
            .expect("the server runs");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// How a connection ends in an orderly way.
struct End {
    leave: watch::Receiver<()>,
    /// Counts the connections whose client has heard of it.
    ending: watch::Sender<usize>,
}

/// Waits for the client's sign.
async fn sign(ping_pong: &mut PingPong) {
    let pong = std::future::poll_fn(|cx| ping_pong.poll_pong(cx));
    pong.await.expect("a sign");
}

async fn serve(
    stream: tokio::net::TcpStream,
    streams_max: u32,
    connection: usize,
    tell: mpsc::UnboundedSender<Asked>,
    mut end: End,
) {
    end.leave.mark_unchanged();
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(streams_max);
    let Ok(mut served) = builder.handshake::<_, Bytes>(stream).await else {
        return;
    };
    let mut ping_pong = served.ping_pong().expect("it was not taken before");
    let mut is_ending = false;
    loop {
        let accepted = tokio::select! {
            accepted = served.accept() => accepted,
            Ok(()) = end.leave.changed() => {
                served.graceful_shutdown();
                ping_pong.send_ping(Ping::opaque()).expect("sent");
                is_ending = true;
                continue;
            }
            // It is answered behind all that was sent before.
            () = sign(&mut ping_pong), if is_ending => {
                end.ending.send_modify(|ending| *ending += 1);
                is_ending = false;
                continue;
            }
        };
        // The client may have gone; that is its affair.
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

    /// Says something before the answer: a status of 1xx.
    pub(crate) fn interim(&mut self, status: u16) {
        let response = http::Response::builder().status(status).body(());
        let response = response.expect("a response");
        self.respond.send_informational(response).expect("sent");
    }

    /// Begins with an answer, and ends the stream within it.
    pub(crate) fn cut_off(mut self) {
        let response = http::Response::new(());
        let mut body = self.respond.send_response(response, false).expect("sent");
        let half = &REPLY.as_bytes()[..REPLY.len() / 2];
        body.send_data(Bytes::from_static(half), false)
            .expect("sent");
        body.send_reset(Reason::INTERNAL_ERROR);
    }

    /// Ends the stream without an answer.
    pub(crate) fn reset(mut self, reason: Reason) {
        self.respond.send_reset(reason);
    }

    /// Waits until the client has given the request up, and says how.
    pub(crate) async fn given_up(mut self) -> Reason {
        let reset = std::future::poll_fn(|cx| self.respond.poll_reset(cx));
        tokio::time::timeout(LIMIT, reset)
            .await
            .expect("it is given up in time")
            .expect("a reset")
    }
}
