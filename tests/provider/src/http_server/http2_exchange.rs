//! The ways to answer a request over HTTP/2. `Exchange` documents these methods.

use std::{future::poll_fn, time::Duration};

use bytes::Bytes;
use h2::{Reason, SendStream, server::SendResponse};

use super::{connections::RequestGuard, message::Response};

/// A request on an HTTP/2 stream.
pub(super) struct Http2Exchange {
    pub(super) respond: SendResponse<Bytes>,
    /// The body of the response, once its head is sent.
    pub(super) body: Option<SendStream<Bytes>>,
    pub(super) _request_guard: RequestGuard,
}

impl Http2Exchange {
    pub(super) async fn wait_for_disconnect(&mut self) {
        self.wait_for_reset().await;
    }

    pub(super) async fn wait_for_reset(&mut self) -> Option<Reason> {
        let reset = match &mut self.body {
            Some(body) => poll_fn(|context| body.poll_reset(context)).await,
            None => poll_fn(|context| self.respond.poll_reset(context)).await,
        };
        reset.ok()
    }

    pub(super) fn answer(mut self, response: &Response) -> bool {
        self.begin(response, response.body.len()) && self.send(Bytes::new(), true)
    }

    pub(super) fn send_interim(&mut self, status: u16) -> bool {
        let response = http::Response::builder().status(status).body(());
        let response = response.expect("the status is valid");
        self.respond.send_informational(response).is_ok()
    }

    pub(super) fn begin(&mut self, response: &Response, body_bytes: usize) -> bool {
        let mut head = http::Response::builder().status(response.status);
        for (name, value) in &response.headers {
            head = head.header(name, value);
        }
        let head = head.body(()).expect("the headers are valid");
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
        while self.wait_for_capacity(chunk.len()).await && self.send(chunk.clone(), false) {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.wait_for_disconnect() => return,
            }
        }
    }

    /// Waits until the client's flow control allows more bytes of the body. Returns false if the client has gone.
    async fn wait_for_capacity(&mut self, bytes: usize) -> bool {
        let Some(body) = &mut self.body else {
            return false;
        };
        body.reserve_capacity(bytes);
        let capacity = poll_fn(|context| body.poll_capacity(context)).await;
        matches!(capacity, Some(Ok(_)))
    }

    fn send(&mut self, bytes: Bytes, is_last: bool) -> bool {
        let body = self
            .body
            .as_mut()
            .expect("the head is sent before the body");
        body.send_data(bytes, is_last).is_ok()
    }
}
