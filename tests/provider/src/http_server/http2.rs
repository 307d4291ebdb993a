//! HTTP/2: many requests at a time on a connection, each a stream of its own.

use std::{future::poll_fn, io, time::Duration};

use bytes::Bytes;
use h2::{
    Reason, RecvStream, SendStream,
    server::{Builder, SendResponse},
};
use http::{Request, Version};
use tokio::task::JoinSet;

use super::{
    connections::{ConnectionGuard, RequestGuard},
    exchange::{Exchange, HttpRequest, Response, Stream},
    server::{Handler, Shutdown},
    socket::Socket,
};

/// An unanswered stream.
pub(super) struct Http2Exchange {
    respond: SendResponse<Bytes>,
    /// The body of the response, once its head is sent.
    body: Option<SendStream<Bytes>>,
    _request: RequestGuard,
}

/// Serves one connection until either side ends it.
pub(super) async fn serve(
    socket: Socket,
    streams_max: u32,
    connection: ConnectionGuard,
    mut shutdown: Shutdown,
    handler: Handler,
) -> io::Result<()> {
    let mut builder = Builder::new();
    builder.max_concurrent_streams(streams_max);
    let mut served = builder
        .handshake::<_, Bytes>(socket)
        .await
        .map_err(io::Error::other)?;
    let mut exchanges = JoinSet::new();
    let mut is_ending = false;
    loop {
        let accepted = tokio::select! {
            accepted = served.accept() => accepted,
            () = shutdown.requested(), if !is_ending => {
                served.graceful_shutdown();
                is_ending = true;
                continue;
            }
            Some(_) = exchanges.join_next() => continue,
        };
        // An error means that the client ended the connection.
        let Some(Ok((request, respond))) = accepted else {
            return Ok(());
        };
        let number = connection.number();
        let stream = Http2Exchange {
            respond,
            body: None,
            _request: connection.request(),
        };
        let handler = Handler::clone(&handler);
        exchanges.spawn(async move {
            // An error means that the client reset the stream before the end of its request.
            if let Ok(request) = read(request).await {
                let exchange = Exchange {
                    request,
                    connection: number,
                    stream: Stream::Http2(stream),
                };
                handler(exchange).await;
            }
        });
    }
}

async fn read(request: Request<RecvStream>) -> Result<HttpRequest, h2::Error> {
    let (head, mut stream) = request.into_parts();
    let mut body = Vec::new();
    while let Some(data) = stream.data().await {
        let data = data?;
        stream.flow_control().release_capacity(data.len())?;
        body.extend_from_slice(&data);
    }
    let target = head.uri.path_and_query();
    Ok(HttpRequest {
        version: Version::HTTP_2,
        method: head.method.to_string(),
        target: target.map_or_else(String::new, ToString::to_string),
        headers: head.headers,
        body,
    })
}

impl Http2Exchange {
    pub(super) async fn hung_up(&mut self) {
        self.reset_by_client().await;
    }

    pub(super) async fn reset_by_client(&mut self) -> Option<Reason> {
        let reset = match &mut self.body {
            Some(body) => poll_fn(|cx| body.poll_reset(cx)).await,
            None => poll_fn(|cx| self.respond.poll_reset(cx)).await,
        };
        reset.ok()
    }

    pub(super) fn answer(mut self, response: &Response) -> bool {
        self.begin(response, response.body.len()) && self.send(Bytes::new(), true)
    }

    pub(super) fn interim(&mut self, status: u16) -> bool {
        let response = http::Response::builder().status(status).body(());
        let response = response.expect("a valid status");
        self.respond.send_informational(response).is_ok()
    }

    pub(super) fn begin(&mut self, response: &Response, body_bytes: usize) -> bool {
        let mut head = http::Response::builder().status(response.status);
        for (name, value) in &response.headers {
            head = head.header(name, value);
        }
        let head = head.body(()).expect("valid headers");
        match self.respond.send_response(head, false) {
            Ok(body) => self.body = Some(body),
            Err(_) => return false,
        }
        self.send(response.body.slice(..body_bytes), false)
    }

    pub(super) fn reset(mut self, reason: Reason) {
        match &mut self.body {
            Some(body) => body.send_reset(reason),
            None => self.respond.send_reset(reason),
        }
    }

    pub(super) async fn answer_endlessly(
        mut self,
        response: &Response,
        chunk: Bytes,
        pause: Duration,
    ) {
        if !self.begin(response, response.body.len()) {
            return;
        }
        while self.has_capacity_for(chunk.len()).await && self.send(chunk.clone(), false) {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.hung_up() => return,
            }
        }
    }

    /// Waits until the client's flow control takes more. Returns false if the client has gone.
    async fn has_capacity_for(&mut self, bytes: usize) -> bool {
        let Some(body) = &mut self.body else {
            return false;
        };
        body.reserve_capacity(bytes);
        let capacity = poll_fn(|cx| body.poll_capacity(cx)).await;
        matches!(capacity, Some(Ok(_)))
    }

    fn send(&mut self, bytes: Bytes, is_last: bool) -> bool {
        let body = self.body.as_mut().expect("the head was sent");
        body.send_data(bytes, is_last).is_ok()
    }
}
