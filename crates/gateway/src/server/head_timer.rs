//! Two time limits in place of hyper's one: how long a connection may be idle before a request, and how long the head of a request (its
//! request line and headers) may take.
//!
//! hyper starts one timer when it begins to wait for a request, and stops it at the end of the head. So a time limit that lets idle
//! connections live long would also let a client send a head byte by byte for as long. The timer here gets a new deadline once the
//! first byte of a request has arrived.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use hyper::rt::{Sleep, Timer};
use tokio::time::Instant;

/// The timer of one connection. hyper must use it only for its `header_read_timeout`, which is the limit for an idle connection.
pub(super) struct HeadTimer {
    /// From the first byte of a request to the end of its headers. The time of a connection's first request begins at the accept.
    head_timeout: Duration,
    is_first: AtomicBool,
    received: ReceivedMark,
}

impl HeadTimer {
    pub(super) fn new(head_timeout: Duration, received: ReceivedMark) -> Self {
        Self {
            head_timeout,
            is_first: AtomicBool::new(true),
            received,
        }
    }
}

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    /// hyper calls this when it begins to wait for a request, and drops the sleep at the end of the request's head.
    ///
    /// Bytes of the next request may have arrived together with the previous request. They do not count: until a further byte arrives,
    /// the connection is idle.
    fn sleep_until(&self, idle_deadline: std::time::Instant) -> Pin<Box<dyn Sleep>> {
        self.received.clear();
        let is_first = self.is_first.swap(false, Ordering::Relaxed);
        let deadline = if is_first {
            Instant::now() + self.head_timeout
        } else {
            idle_deadline.into()
        };
        Box::pin(HeadSleep {
            sleep: Box::pin(tokio::time::sleep_until(deadline)),
            // The deadline of a first request does not move.
            head_timeout: (!is_first).then_some(self.head_timeout),
            received: self.received.clone(),
        })
    }

    fn now(&self) -> std::time::Instant {
        Instant::now().into()
    }
}

/// Ends when a connection has been idle for too long, or when the head of its request has taken too long.
struct HeadSleep {
    sleep: Pin<Box<tokio::time::Sleep>>,
    /// `None` once the head has begun.
    head_timeout: Option<Duration>,
    received: ReceivedMark,
}

impl Sleep for HeadSleep {}

impl Future for HeadSleep {
    type Output = ();

    /// hyper polls this after each read that did not end the head. So the first poll after the first byte comes at once.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.received.is_set()
            && let Some(head_timeout) = self.head_timeout.take()
        {
            let deadline = Instant::now() + head_timeout;
            self.sleep.as_mut().reset(deadline);
        }
        self.sleep.as_mut().poll(cx)
    }
}

/// Whether bytes have arrived since the connection began to wait for a request. Only one task uses the mark, so relaxed ordering is enough.
#[derive(Clone, Default)]
pub(super) struct ReceivedMark(Arc<AtomicBool>);

impl ReceivedMark {
    /// Marks the arrival of bytes. At the end of a connection there are none.
    pub(super) fn mark(&self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    fn clear(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hyper::rt::Timer as _;
    use tokio::time::{Instant, timeout};

    use super::{HeadTimer, ReceivedMark};

    const HEAD: Duration = Duration::from_secs(15);
    const IDLE: Duration = Duration::from_secs(75);

    /// The timer of a connection whose first request has ended.
    fn timer_after_first() -> (HeadTimer, ReceivedMark) {
        let received = ReceivedMark::default();
        let timer = HeadTimer::new(HEAD, received.clone());
        drop(timer.sleep(IDLE));
        (timer, received)
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_head_has_its_time_from_the_accept() {
        let received = ReceivedMark::default();
        let timer = HeadTimer::new(HEAD, received.clone());
        let (began, mut sleep) = (Instant::now(), timer.sleep(IDLE));
        assert!(
            timeout(HEAD - Duration::from_secs(1), &mut sleep)
                .await
                .is_err()
        );
        received.mark(b"G");
        sleep.await;
        assert_eq!(began.elapsed().as_secs(), HEAD.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_has_the_longer_time() {
        let (timer, received) = timer_after_first();
        // These bytes belong to the previous request.
        received.mark(b"body");
        let (began, sleep) = (Instant::now(), timer.sleep(IDLE));
        sleep.await;
        assert_eq!(began.elapsed().as_secs(), IDLE.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_later_head_has_its_time_from_its_first_byte() {
        for idle in [Duration::from_secs(1), IDLE - Duration::from_secs(1)] {
            let (timer, received) = timer_after_first();
            let (began, mut sleep) = (Instant::now(), timer.sleep(IDLE));
            assert!(timeout(idle, &mut sleep).await.is_err());
            received.mark(b"G");
            // Further bytes do not extend the time.
            for _ in 1..HEAD.as_secs() {
                assert!(timeout(Duration::from_secs(1), &mut sleep).await.is_err());
                received.mark(b"E");
            }
            sleep.await;
            assert_eq!(began.elapsed().as_secs(), (idle + HEAD).as_secs());
        }
    }
}
