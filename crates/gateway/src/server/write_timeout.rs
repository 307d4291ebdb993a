//! A socket whose writes time out when its client stops reading, or reads too slowly.
//!
//! Without the timeout, a client that sends requests and reads no response would keep its connection and the
//! responses in memory for ever. A client that reads a little from time to time would keep them almost as long.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep},
};

/// A client that reads at least this many bytes a second is never too slow.
const BYTES_PER_S_MIN: u32 = 4 * 1_024;

/// A socket with a limit on the time that the writes of a response may be blocked: `timeout`, and one second more for each
/// [`BYTES_PER_S_MIN`] written meanwhile.
pub(super) struct WriteTimeoutStream {
    stream: TcpStream,
    blocked: BlockedTime,
    /// The write that is blocked now.
    write: Option<BlockedWrite>,
}

struct BlockedWrite {
    since: Instant,
    deadline: Pin<Box<Sleep>>,
}

impl WriteTimeoutStream {
    pub(super) const fn new(stream: TcpStream, timeout: Duration) -> Self {
        Self {
            stream,
            blocked: BlockedTime {
                max: timeout,
                sum: Duration::ZERO,
            },
            write: None,
        }
    }

    /// Returns the result of a write, or an error if writes have been blocked for too long.
    fn apply_timeout(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(result) = written {
            let write = self.write.take();
            let time = write.map_or(Duration::ZERO, |write| write.since.elapsed());
            let bytes = result.as_ref().map_or(0, |bytes| *bytes);
            self.blocked.add(time, bytes);
            return Poll::Ready(result);
        }
        let time_left = self.blocked.left();
        let write = self.write.get_or_insert_with(|| BlockedWrite {
            since: Instant::now(),
            deadline: Box::pin(sleep(time_left)),
        });
        match write.deadline.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// How long writes have been blocked.
struct BlockedTime {
    max: Duration,
    /// The blocked time since the client last sent something, less a second for each [`BYTES_PER_S_MIN`] written.
    sum: Duration,
}

impl BlockedTime {
    /// How long writes may still be blocked.
    const fn left(&self) -> Duration {
        self.max.saturating_sub(self.sum)
    }

    /// Counts a write of this many bytes, which was blocked for some time.
    fn add(&mut self, time: Duration, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let allowed = Duration::from_secs(1) * bytes / BYTES_PER_S_MIN;
        self.sum = (self.sum + time).saturating_sub(allowed);
    }
}

impl AsyncRead for WriteTimeoutStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let filled = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        // Bytes that arrive belong to the next request, which hyper reads after the response. So the time starts again. While hyper
        // writes, it reads at most one buffer.
        if buf.filled().len() > filled {
            self.blocked.sum = Duration::ZERO;
        }
        read
    }
}

impl AsyncWrite for WriteTimeoutStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.apply_timeout(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.apply_timeout(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Flushing a TCP socket never blocks, so it needs no limit.
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, io, pin::Pin, task::Poll, time::Duration};

    use tokio::{
        io::{AsyncReadExt, AsyncWrite, AsyncWriteExt},
        net::{TcpListener, TcpSocket, TcpStream},
        sync::oneshot,
        task::spawn_blocking,
        time::{advance, timeout},
    };

    use super::{BlockedTime, WriteTimeoutStream};

    const TIMEOUT: Duration = Duration::from_secs(30);
    /// The timeout of a socket. It is much longer than the time that the bytes in the connection's buffers may take.
    const SOCKET_TIMEOUT: Duration = Duration::from_hours(3);
    /// Longer than half of [`SOCKET_TIMEOUT`], so two such waits are too long.
    const LONG: Duration = Duration::from_hours(2);

    fn blocked() -> BlockedTime {
        BlockedTime {
            max: TIMEOUT,
            sum: Duration::ZERO,
        }
    }

    #[test]
    fn a_client_that_reads_a_little_from_time_to_time_gets_little_more_time() {
        let mut trickle = blocked();
        trickle.add(Duration::from_secs(25), 1_024);
        assert!(trickle.left() < Duration::from_secs(6));
        trickle.add(Duration::from_secs(6), 1_024);
        assert_eq!(trickle.left(), Duration::ZERO);
    }

    #[test]
    fn a_client_that_reads_fast_enough_has_time_for_any_response() {
        let mut steady = blocked();
        for _ in 0..1_000 {
            // 100 kbit/s. The kernel accepts more bytes only when a part of its buffer is free.
            steady.add(Duration::from_secs(10), 10 * 12_500);
            assert_eq!(steady.left(), TIMEOUT);
        }
        // Bytes that the kernel accepts at once give no time for later.
        steady.add(Duration::ZERO, 100_000_000);
        assert_eq!(steady.left(), TIMEOUT);
    }

    /// A server's socket, and the client's. The client's buffer is small.
    async fn connect() -> (WriteTimeoutStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let client = TcpSocket::new_v4().expect("a socket");
        client
            .set_recv_buffer_size(4_096)
            .expect("the size is valid");
        let address = listener.local_addr().expect("an address");
        let (client, accepted) = tokio::join!(client.connect(address), listener.accept());
        let (server, _) = accepted.expect("accepted");
        let server = WriteTimeoutStream::new(server, SOCKET_TIMEOUT);
        (server, client.expect("connected"))
    }

    /// Writes until the buffers of the connection are full. Returns how many bytes were written.
    async fn write_until_blocked(server: &mut WriteTimeoutStream) -> io::Result<usize> {
        let mut bytes = 0;
        poll_fn(|cx| {
            loop {
                match Pin::new(&mut *server).poll_write(cx, &[0; 4_096]) {
                    Poll::Ready(Ok(written)) => bytes += written,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => return Poll::Ready(Ok(bytes)),
                }
            }
        })
        .await
    }

    /// Blocks the writes of a response for a [`LONG`] time. Then the client reads all of it.
    async fn respond_slowly(
        server: &mut WriteTimeoutStream,
        client: &mut TcpStream,
    ) -> io::Result<()> {
        let mut bytes = write_until_blocked(server).await?;
        advance(LONG).await;
        // The kernel may have made its buffer larger meanwhile.
        while let written @ 1.. = write_until_blocked(server).await? {
            bytes += written;
            advance(Duration::from_secs(1)).await;
        }
        client.read_exact(&mut vec![0; bytes]).await?;
        server.write_all(b"end").await?;
        client.read_exact(&mut [0; 3]).await?;
        Ok(())
    }

    /// Keeps the paused clock from moving while bytes are under way: tokio does not move it while a blocking task runs.
    fn hold_clock() -> oneshot::Sender<()> {
        let (release, released) = oneshot::channel();
        drop(spawn_blocking(move || released.blocking_recv()));
        release
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_stops_reading_is_disconnected() {
        let (mut server, _client) = connect().await;
        let writing = async {
            loop {
                if let Err(error) = server.write_all(&[0; 4_096]).await {
                    return error.kind();
                }
            }
        };
        let ended = timeout(10 * SOCKET_TIMEOUT, writing).await;
        assert_eq!(ended.expect("the write ends"), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_of_a_response_includes_all_of_its_writes() {
        let _clock = hold_clock();
        let (mut server, mut client) = connect().await;
        respond_slowly(&mut server, &mut client)
            .await
            .expect("in time");
        let second = respond_slowly(&mut server, &mut client).await;
        assert_eq!(
            second.map_err(|error| error.kind()),
            Err(io::ErrorKind::TimedOut)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn each_request_gives_its_response_the_whole_time() {
        let _clock = hold_clock();
        let (mut server, mut client) = connect().await;
        for _ in 0..3 {
            client.write_all(b"request").await.expect("sent");
            server.read_exact(&mut [0; 7]).await.expect("received");
            respond_slowly(&mut server, &mut client)
                .await
                .expect("in time");
        }
    }
}
