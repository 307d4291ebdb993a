//! Tests of the memory and the time that bodies take. The clock is paused, so a wait takes no real time.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, HttpBody},
    http::{HeaderMap, header::CONTENT_LENGTH},
    response::IntoResponse as _,
};
use bytes::Bytes;
use forebay_runtime::memory::MemoryShares;
use hyper::body::Frame;
use tokio::{sync::mpsc, task::JoinHandle, time::sleep};

use super::{BodyReader, BufferedBody};
use crate::{problem::Problem, settings::GatewaySettings};

const KIB: usize = 1_024;
const MIB: usize = 1_024 * KIB;

/// The parts of a body that a test sends.
struct Parts(mpsc::UnboundedReceiver<Bytes>);

impl HttpBody for Parts {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let part = self.0.poll_recv(cx);
        part.map(|part| part.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// A request whose body the test sends in parts.
struct Upload {
    parts: mpsc::UnboundedSender<Bytes>,
    reading: JoinHandle<Result<BufferedBody, Problem>>,
}

impl Upload {
    async fn begin(memory: &MemoryShares, content_length: Option<usize>) -> Self {
        let (parts, received) = mpsc::unbounded_channel();
        let mut headers = HeaderMap::new();
        if let Some(bytes) = content_length {
            headers.insert(CONTENT_LENGTH, bytes.into());
        }
        let reader = BodyReader::new(memory.clone(), &GatewaySettings::default());
        let body = Body::new(Parts(received));
        let reading = tokio::spawn(async move { reader.read(&headers, body).await });
        pass(0).await;
        Self { parts, reading }
    }

    /// Sends bytes, and lets the gateway read them.
    async fn send(&self, bytes: usize) {
        // The gateway may have refused the body already.
        let _ = self.parts.send(Bytes::from(vec![b' '; bytes]));
        pass(0).await;
    }

    /// Ends the body. Returns it, or the status of the response.
    async fn end(self) -> Result<BufferedBody, u16> {
        drop(self.parts);
        let read = self.reading.await.expect("the read does not panic");
        read.map_err(|problem| problem.into_response().status().as_u16())
    }
}

/// Lets seconds pass. The paused clock moves only while all tasks wait, so every task has run as far as it can.
async fn pass(seconds: u64) {
    sleep(Duration::from_secs(seconds) + Duration::from_millis(1)).await;
}

/// The shares of 64 MiB: 1.3 MiB for small bodies, 2.7 MiB for large ones.
fn memory() -> MemoryShares {
    MemoryShares::of(64 << 20)
}

#[tokio::test(start_paused = true)]
async fn a_stalled_client_reserves_about_what_it_has_sent() {
    let memory = memory();
    let mut stalled = Vec::new();
    for content_length in [Some(64 * KIB), Some(10 * MIB), None] {
        for _ in 0..100 {
            let upload = Upload::begin(&memory, content_length).await;
            upload.send(1).await;
            stalled.push(upload);
        }
    }
    let held = memory.small_bodies.total() - memory.small_bodies.available();
    assert_eq!(held, 300 * 1_024);
    assert_eq!(memory.bodies.available(), memory.bodies.total());
    for content_length in [Some(2 * MIB), None] {
        let upload = Upload::begin(&memory, content_length).await;
        upload.send(2 * MIB).await;
        assert_eq!(
            upload.end().await.expect("the body is read").bytes.len(),
            2 * MIB
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_small_chunked_body_does_not_wait_for_large_bodies() {
    let memory = memory();
    let _large = memory
        .bodies
        .try_reserve(u64::MAX)
        .expect("the memory is free");
    let upload = Upload::begin(&memory, None).await;
    for _ in 0..20 {
        upload.send(3 * KIB).await;
    }
    assert_eq!(
        upload.end().await.expect("the body is read").bytes.len(),
        60 * KIB
    );
}

#[tokio::test(start_paused = true)]
async fn a_small_chunked_body_that_grows_waits_for_other_small_bodies_only() {
    let memory = memory();
    let large = &memory.bodies;
    let _large = large.try_reserve(u64::MAX).expect("the memory is free");
    let upload = Upload::begin(&memory, None).await;
    upload.send(KIB).await;
    let small = &memory.small_bodies;
    let others = small
        .try_reserve(small.available())
        .expect("the memory is free");
    let later = Upload::begin(&memory, None).await;
    later.send(KIB).await;
    upload.send(2 * KIB).await;
    pass(5).await;
    assert!(!upload.reading.is_finished() && !later.reading.is_finished());
    drop(others);
    for (upload, bytes) in [(upload, 3 * KIB), (later, KIB)] {
        assert_eq!(
            upload.end().await.expect("the body is read").bytes.len(),
            bytes
        );
    }
    assert_eq!(small.available(), small.total());

    // All waits of a body together are bounded.
    let upload = Upload::begin(&memory, None).await;
    upload.send(KIB).await;
    let _others = small
        .try_reserve(small.available())
        .expect("the memory is free");
    upload.send(2 * KIB).await;
    pass(9).await;
    assert_eq!(small.available(), 0);
    pass(1).await;
    assert_eq!(small.available(), 1_024, "the refused body holds nothing");
    assert_eq!(upload.end().await.err(), Some(503));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_refused_for_memory_is_read_before_the_response() {
    let memory = memory();
    let _others = memory
        .bodies
        .try_reserve(u64::MAX)
        .expect("the memory is free");
    let small = &memory.small_bodies;
    // The first body waits for memory. The second is refused at once, because most of the share `small_bodies` is in use.
    for (other_bytes, wait_s) in [(0, 10), (small.total() - 64 * 1_024, 0)] {
        let others = small.try_reserve(other_bytes).expect("the memory is free");
        let upload = Upload::begin(&memory, Some(MIB)).await;
        upload.send(30 * KIB).await;
        upload.send(500 * KIB).await;
        pass(wait_s).await;
        assert!(
            !upload.reading.is_finished(),
            "the reading ended while the client still sends"
        );
        assert_eq!(small.total() - small.available(), others.bytes());
        assert_eq!(upload.end().await.err(), Some(503));
    }
    // A client that never ends its body gets its response all the same.
    let upload = Upload::begin(&memory, Some(MIB)).await;
    upload.send(100 * KIB).await;
    pass(10 + 3).await;
    assert!(upload.reading.is_finished());
}

#[tokio::test(start_paused = true)]
async fn the_time_in_which_a_body_waits_for_memory_does_not_count_as_its_time() {
    let memory = memory();
    let others = memory
        .small_bodies
        .try_reserve(u64::MAX)
        .expect("the memory is free");
    let upload = Upload::begin(&memory, Some(2)).await;
    pass(25).await;
    upload.send(1).await;
    pass(9).await;
    drop(others);
    upload.send(1).await;
    assert_eq!(upload.end().await.expect("the body is read").bytes.len(), 2);

    let upload = Upload::begin(&memory, Some(2)).await;
    upload.send(1).await;
    pass(30).await;
    assert_eq!(upload.end().await.err(), Some(408));
}

#[tokio::test(start_paused = true)]
async fn a_body_waits_for_memory_for_at_most_ten_seconds() {
    let memory = memory();
    let others = memory
        .small_bodies
        .try_reserve(u64::MAX)
        .expect("the memory is free");
    let small = Upload::begin(&memory, None).await;
    small.send(1).await;
    pass(10).await;
    assert_eq!(small.end().await.err(), Some(503));
    drop(others);

    let _others = memory
        .bodies
        .try_reserve(u64::MAX)
        .expect("the memory is free");
    let large = Upload::begin(&memory, None).await;
    large.send(30 * KIB).await;
    large.send(MIB).await;
    pass(9).await;
    assert!(!large.reading.is_finished());
    pass(1).await;
    assert_eq!(large.end().await.err(), Some(503));
}

#[tokio::test(start_paused = true)]
async fn large_bodies_wait_for_each_other_and_none_is_refused() {
    let memory = memory();
    let mut uploads = Vec::new();
    for content_length in [Some(10 * MIB), None, Some(2 * MIB)] {
        let upload = Upload::begin(&memory, content_length).await;
        upload.send(60 * KIB).await;
        upload.send(60 * KIB).await;
        uploads.push(upload);
    }
    // Only the first body has memory for large bodies: all of it.
    assert_eq!(memory.bodies.available(), 0);
    for upload in uploads {
        upload.send(2 * MIB - 120 * KIB).await;
        drop(upload.end().await.expect("the body is read"));
    }
    for share in [&memory.small_bodies, &memory.bodies] {
        assert_eq!(share.available(), share.total());
    }
}

#[tokio::test(start_paused = true)]
async fn bodies_that_wait_leave_half_of_the_memory_of_small_bodies() {
    let memory = memory();
    let others = memory
        .bodies
        .try_reserve(u64::MAX)
        .expect("the memory is free");
    let mut uploads = Vec::new();
    for _ in 0..100 {
        let upload = Upload::begin(&memory, None).await;
        upload.send(60 * KIB).await;
        upload.send(60 * KIB).await;
        uploads.push(upload);
    }
    // The refused bodies are discarded within this time. The others wait longer.
    pass(4).await;
    let small = &memory.small_bodies;
    assert!(small.available() + 64 * 1_024 >= small.total() / 2);
    let waiting = uploads
        .iter()
        .filter(|upload| !upload.reading.is_finished());
    assert!(waiting.count() >= 10);
    drop(others);
}

#[tokio::test(start_paused = true)]
async fn a_complete_body_reserves_its_bytes() {
    let memory = memory();
    for (content_length, bytes) in [(Some(100_000), 100_000), (None, 100_000), (None, 1_025)] {
        let upload = Upload::begin(&memory, content_length).await;
        let half = bytes / 2;
        upload.send(half).await;
        upload.send(bytes - half).await;
        let body = upload.end().await.expect("the body is read");
        let reserved = body.reserved.as_ref().expect("reserved").bytes();
        assert_eq!(reserved, (bytes as u64).next_multiple_of(1_024));
    }
}
