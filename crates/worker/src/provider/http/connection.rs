//! A connection to a provider: its handshake, and the handle through which requests go.

use std::{pin::Pin, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::{http1, http2};
use hyper::rt::Executor;
use hyper_util::rt::TokioTimer;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use super::dial::Dialled;

/// A request's body: small, and known before it is sent.
pub(super) type Body = Full<Bytes>;

/// Many calls share an HTTP/2 connection: one that died silently must not hold them all.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(15);

/// How often it is looked whether the server's settings have come.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// How often it is looked whether the server has changed them, while there are calls.
const LOOK_AGAIN_EVERY: Duration = Duration::from_millis(250);

/// How long the head of an answer may be, and how much of one is read at a time over HTTP/1.1. There each call has a
/// buffer of this size for as long as it waits, but of its memory only what is read into it becomes resident.
const HEAD_BYTES_MAX: u32 = 32 * 1_024;

/// A connection that is ready for requests.
pub(super) enum Connection {
    /// HTTP/1.1: one call at a time.
    Own(http1::SendRequest<Body>),
    /// HTTP/2: as many calls at a time as the server allows.
    Shared(SharedConnection),
}

/// The handle to a connection that calls share.
#[derive(Clone)]
pub(super) struct SharedConnection {
    pub(super) sender: http2::SendRequest<Body>,
    streams_max: watch::Receiver<usize>,
}

impl SharedConnection {
    /// How many calls the server allows at a time, as it said last (RFC 9113, section 5.1.2).
    pub(super) fn streams_max(&self) -> usize {
        *self.streams_max.borrow()
    }
}

/// Runs the tasks of an HTTP/2 connection, in boxes: hyper's task that sends a body is over at once, but something
/// of it is held on to until the answer comes, which then is not the whole of it.
#[derive(Clone, Copy)]
struct Boxing;

impl<F> Executor<F> for Boxing
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, task: F) {
        tokio::spawn(Box::pin(task));
    }
}

/// Begins to speak HTTP on a stream. A task of its own runs the connection until its handle is dropped or it
/// ends. `None`: the server ended it in order before it could be used.
pub(super) async fn handshake(
    dialled: Dialled,
    is_http2: bool,
) -> hyper::Result<Option<Connection>> {
    if is_http2 || dialled.is_http2 {
        let shared = handshake_http2(dialled).await?;
        Ok(shared.map(Connection::Shared))
    } else {
        let (sender, connection) = http1::Builder::new()
            .read_buf_exact_size(Some(HEAD_BYTES_MAX as usize))
            .handshake(dialled.stream)
            .await?;
        // How it ends is told to its calls.
        tokio::spawn(async move { drop(connection.await) });
        Ok(Some(Connection::Own(sender)))
    }
}

/// Waits for the server's settings too: before them it is not known how many calls it takes, and those that are
/// too many would wait unseen.
async fn handshake_http2(dialled: Dialled) -> hyper::Result<Option<SharedConnection>> {
    let (sender, mut connection) = http2::Builder::new(Boxing)
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT)
        .max_header_list_size(HEAD_BYTES_MAX)
        // No settings yet, in the words of the library.
        .initial_max_send_streams(0)
        .handshake(dialled.stream)
        .await?;
    let (tell, mut streams_max) = watch::channel(0);
    let mut look = interval(LOOK_EVERY);
    let mut look_again = interval(LOOK_AGAIN_EVERY);
    look_again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let run = std::future::poll_fn(move |cx| {
        let polled = Pin::new(&mut connection).poll(cx);
        if polled.is_pending() {
            let allowed = connection.current_max_send_streams();
            tell.send_if_modified(|told| std::mem::replace(told, allowed) != allowed);
            // Neither their arrival nor a change wakes anybody. Each call holds a handle, and the pool one more, which
            // alone is no reason to look: the next request is one.
            if allowed == 0 {
                while look.poll_tick(cx).is_ready() {}
            } else if tell.receiver_count() > 1 {
                while look_again.poll_tick(cx).is_ready() {}
            }
        }
        polled
    });
    let running = tokio::spawn(run);
    if streams_max.wait_for(|max| *max > 0).await.is_err() {
        // It ended before that, and tells why unless it was asked to (GOAWAY); a panic of its own is none of ours.
        return running.await.unwrap_or(Ok(())).map(|()| None);
    }
    Ok(Some(SharedConnection {
        sender,
        streams_max,
    }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hyper_util::rt::TokioIo;
    use tokio::{io::AsyncWriteExt as _, time::timeout};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    /// A SETTINGS frame (RFC 9113, section 6.5) with a limit of so many streams.
    fn settings(streams_max: u8) -> [u8; 15] {
        [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, streams_max]
    }

    #[tokio::test]
    async fn a_lower_limit_of_streams_is_seen_without_another_request() {
        let (ours, theirs) = tokio::io::duplex(64 * 1_024);
        let (mut from_us, mut to_us) = tokio::io::split(theirs);
        tokio::spawn(async move { tokio::io::copy(&mut from_us, &mut tokio::io::sink()).await });
        to_us.write_all(&settings(100)).await.expect("written");
        let dialled = Dialled {
            stream: Box::new(TokioIo::new(ours)),
            is_http2: true,
        };
        let made = handshake(dialled, true).await.expect("a handshake");
        let Some(Connection::Shared(pooled)) = made else {
            panic!("it cannot be shared");
        };
        assert_eq!(pooled.streams_max(), 100);

        let mut call = pooled.clone();
        let request = http::Request::post("http://x.example/").body(Body::default());
        let answer = call.sender.try_send_request(request.expect("a request"));
        let calling = tokio::spawn(answer);
        to_us.write_all(&settings(1)).await.expect("written");
        let mut told = pooled.streams_max.clone();
        let lower = timeout(LIMIT, told.wait_for(|max| *max == 1)).await;
        lower.expect("it is seen in time").expect("it runs");
        calling.abort();
    }
}
